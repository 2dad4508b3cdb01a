package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

var (
	rounds   = flag.Int("rounds", 20, "how often TestNothingAcknowledgedIsLost kills a node")
	killSeed = flag.Uint64("seed", 0, "the seed of its choices; 0: any")
)

// TestNothingAcknowledgedIsLost kills a node under load again and again, and starts it again with
// the same data directory. All peers and items that it has ever acknowledged are there then.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	o := newOrdeal(t)
	for round := range o.rounds {
		o.round(round)
	}
	t.Logf("%d rounds, %d of them killed during a compaction, %d during the start: %d announces and puts acknowledged, 0 of %d lost",
		o.rounds, o.compacting, o.starting, o.acknowledged(), o.looked)
}

// ordeal is a node that is killed again and again.
type ordeal struct {
	t         *testing.T
	rng       *rand.Rand
	rounds    int
	dir       string
	args      []string
	node      *process
	witnesses []*witness

	compacting, starting, looked int
}

func newOrdeal(t *testing.T) *ordeal {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed=%d", seed)
	o := &ordeal{t: t, rng: rand.New(rand.NewPCG(seed, 0)), rounds: *rounds, dir: t.TempDir()}
	if raceEnabled {
		o.rounds = min(o.rounds, 5)
	}
	listen := closedPort(t)
	targets := []string{listen, listen, listen}
	if six := closedPort6(); six != "" {
		listen += "," + six
		targets = append(targets, six)
	}
	o.args = []string{"--bootstrap", "none", "--data-dir", o.dir, "--listen", listen, "--rate-limit", "0"}
	for i, target := range targets {
		o.witnesses = append(o.witnesses, newWitness(t, netip.MustParseAddrPort(target), seed, uint64(1+i)))
	}
	o.start()
	return o
}

// start starts the node, with one reader or two.
func (o *ordeal) start() {
	o.t.Helper()
	o.node, _ = startNode(o.t, append([]string{"--readers", strconv.Itoa(1 + o.rng.IntN(2))}, o.args...)...)
}

// closedPort6 is closedPort of IPv6; empty if the host has none.
func closedPort6() string {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// round has the node store what it can until it is killed, starts it again and looks at what
// is there.
func (o *ordeal) round(n int) {
	o.t.Helper()
	dead := make(chan struct{})
	var all sync.WaitGroup
	for _, w := range o.witnesses {
		w.round = n
		all.Go(func() { w.work(dead) })
	}
	if n%4 == 1 {
		o.killDuringCompaction()
	} else {
		time.Sleep(time.Duration(10+o.rng.IntN(300)) * time.Millisecond)
		o.node.kill()
	}
	close(dead)
	all.Wait()
	if o.rng.IntN(3) == 0 {
		o.killDuringStart()
	}
	o.start()
	o.look(n)
}

// killDuringCompaction kills the node when it writes a snapshot, or after a while without one.
func (o *ordeal) killDuringCompaction() {
	o.t.Helper()
	snapshot := filepath.Join(o.dir, journalDir, "snapshot.tmp")
	there := func() bool {
		_, err := os.Stat(snapshot)
		return err == nil
	}
	for end := time.Now().Add(3 * time.Second); !there() && time.Now().Before(end); {
		time.Sleep(200 * time.Microsecond)
	}
	time.Sleep(time.Duration(o.rng.IntN(2000)) * time.Microsecond)
	o.node.kill()
	if there() {
		o.compacting++
	}
}

// killDuringStart starts the node and kills it before anybody has asked anything.
func (o *ordeal) killDuringStart() {
	o.t.Helper()
	p := start(o.t, o.args...)
	time.Sleep(time.Duration(o.rng.IntN(150)) * time.Millisecond)
	p.kill()
	o.starting++
}

// look fails the test if something is lost: of the last rounds, and now and then of all.
func (o *ordeal) look(round int) {
	o.t.Helper()
	since := round - 1
	if round%10 == 0 || round == o.rounds-1 {
		since = 0
	}
	for i, w := range o.witnesses {
		looked, lost := w.look(o.t, since)
		o.looked += looked
		if w.err != nil {
			o.t.Errorf("round %d, witness %d: %v", round, i, w.err)
		}
		if len(lost) > 0 {
			o.t.Fatalf("round %d, witness %d: %d of %d lost: %s", round, i, len(lost), looked, fmt.Sprint(lost[:min(len(lost), 3)]))
		}
	}
}

func (o *ordeal) acknowledged() (n int) {
	for _, w := range o.witnesses {
		n += w.acknowledged
	}
	return n
}

package sim

import (
	"bytes"
	"flag"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

var (
	nodes   = flag.Int("nodes", 1000, "nodes of the world that settles")
	lookups = flag.Int("lookups", 1000, "lookups in it")
	growth  = flag.Float64("growth", .02, "nodes that join it each second, for each that is there")
	settle  = flag.Duration("settle", time.Minute, "time from the last one to the lookups")
)

// A large world is there soon, whatever its size, and lookups in it end at the closest nodes.
//
//	go test ./kademlia/sim -run Settles -v -timeout 1h -args -nodes 100000 -lookups 10000
func TestWorldSettles(t *testing.T) {
	withoutRace(t)
	const memory = 15 << 28 // of 4 GiB, what Go may take before it collects more often
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
	before, began := heap(), time.Now()
	w := BuildGrowing(Config{Nodes: *nodes, Seed: *seed}, *growth, *settle)
	built := time.Since(began)
	t.Logf("-seed=%d: %d nodes, there and settled after %v of virtual time, %d datagrams and %v",
		*seed, *nodes, w.Clock.Now().Sub(start).Round(time.Second), w.Net.Stats().Sent, built.Round(time.Second))

	r := w.MeasureLookupsEvery(time.Millisecond, *lookups)
	t.Log(r)
	t.Logf("hops / log2(N) = %.3f; %v in all", r.Hops/math.Log2(float64(*nodes)), time.Since(began).Round(time.Second))
	if r.ExactShare() < .99 {
		t.Errorf("%.2f%% of the lookups end at the true closest nodes, want 99%%", 100*r.ExactShare())
	}

	resident, peak := residentKB("VmRSS:"), residentKB("VmHWM:")
	each := (heap() - before) / uint64(*nodes)
	t.Logf("%d bytes a node; resident: %d MB, at most %d MB", each, resident>>10, peak>>10)
	if each > 32<<10 {
		t.Errorf("%d bytes a node", each)
	}
	runtime.KeepAlive(w)
}

// residentKB returns what Linux says of our memory; 0 elsewhere.
func residentKB(field string) int {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := bytes.Cut(status, []byte(field))
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(words[0]))
	return n
}

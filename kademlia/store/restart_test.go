package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// program is the Items of one node and its journal, which are killed and started again.
type program struct {
	*Items
	t     testing.TB
	node  *kademlia.Node
	dir   string
	cfg   Config
	runs  uint64
	journ *journal.Log
	log   strings.Builder
}

func newProgram(t testing.TB, n *kademlia.Node, cfg Config) *program {
	t.Helper()
	p := &program{t: t, node: n, dir: t.TempDir(), cfg: cfg}
	p.restart()
	return p
}

// kill ends the program as kill -9 does: nothing is written any more.
func (p *program) kill() {
	p.Close()
	log := p.journ
	p.t.Cleanup(func() { log.Close() })
}

// restart starts the program with what it finds.
func (p *program) restart() {
	p.t.Helper()
	p.runs++
	p.journ = journal.New(journal.Config{
		FS: journal.Dir(p.dir), Now: p.node.Clock().Now, Rand: rand.New(rand.NewPCG(p.runs, 3)), Log: slog.New(slog.DiscardHandler),
	})
	cfg := p.cfg
	cfg.Journal, cfg.Rand = p.journ, rand.New(rand.NewPCG(p.runs, 4))
	cfg.Log = slog.New(slog.NewTextHandler(&p.log, nil))
	p.Items = New([]*kademlia.Node{p.node}, cfg)
	if err := p.journ.Load(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.journ.Start(); err != nil {
		p.t.Fatal(err)
	}
	if st := p.journ.Stats(); st.NotReplayed > 0 || st.DamagedBytes > 0 {
		p.t.Fatalf("replayed with errors: %+v", st)
	}
	p.Start()
}

// newDurableKeeper returns a keeper that is a program.
func newDurableKeeper(t testing.TB, cfg Config) (*keeper, *program) {
	t.Helper()
	w := sim.Build(sim.Config{Nodes: 1, Seed: 1}, 200*time.Millisecond, time.Minute)
	p := newProgram(t, w.Hosts[0].Node, cfg)
	k := &keeper{t: t, world: w, node: p.node}
	k.take(p)
	return k, p
}

// take has k use the items of a program that was started.
func (k *keeper) take(p *program) { k.Items, k.shelf = p.Items, p.Items.memory(0) }

// restart kills the program after d, and starts it again another minute later.
func (k *keeper) restart(p *program, d time.Duration) {
	k.t.Helper()
	k.run(d)
	p.journ.Commit() // as it is before replies leave
	p.kill()
	k.run(time.Minute)
	p.restart()
	k.take(p)
	k.checkBooks()
}

func TestWhatWasPutOutlivesTheProgram(t *testing.T) {
	k, p := newDurableKeeper(t, Config{MaxPerIP: 5})
	fixed, short, old := immutable(1), immutable(2), immutable(3)
	first, second, salted := mutable(t, "", 1, "5:first"), mutable(t, "", 2, "6:second"), mutable(t, "salt", 7, "i7e")
	k.mustPut(fixed, first, salted, old)
	wantDone(t, k.putWith(short, ttl(30*time.Minute)))
	k.run(10 * time.Minute)
	wantDone(t, k.putWith(second, ttl(time.Hour)))
	k.mustPut(fixed)
	k.restart(p, 9*time.Minute)

	k.wantHeld(true, fixed, second, salted, short, old)
	k.wantTTL(fixed, Life-10*time.Minute)
	k.wantTTL(second, Life-20*time.Minute) // the life of the first
	k.wantTTL(short, 10*time.Minute)
	wantError(t, k.putWith(first, nil), 302, "")
	wantError(t, k.putWith(immutable(9), nil), 202, "your address") // which has the five
	k.mustPut(old)
	k.restart(p, 30*time.Minute)
	k.wantHeld(true, fixed, second, salted, old)
	k.wantHeld(false, short)
	k.restart(p, 80*time.Minute)
	k.wantHeld(true, old)
	k.wantHeld(false, fixed, second, salted)
	k.mustPut(first) // with the second its seq is forgotten
	k.restart(p, 3*time.Hour)
	k.wantHeld(false, old, first)
	if n := len(k.shelf.entries); n > 0 {
		t.Errorf("%d items that have expired are there", n)
	}
}

// However often a program ends, its items live for their life, snapshots or not.
func TestTenRestartsNeitherLengthenNorShortenALife(t *testing.T) {
	for _, compacts := range []bool{false, true} {
		k, p := newDurableKeeper(t, Config{})
		items := []Item{immutable(1), mutable(t, "salt", 1, "i1e")}
		k.mustPut(items...)
		for n := range 10 {
			k.restart(p, 10*time.Minute)
			if compacts {
				if err := p.journ.Compact(); err != nil {
					t.Fatal(err)
				}
			}
			for _, it := range items {
				left := time.Duration(k.get(it.Target()).TTL) * time.Second
				if want := Life - time.Duration(n+1)*11*time.Minute; left > want || left < want-time.Second {
					t.Errorf("after restart %d: %v is left, want %v", n+1, left, want)
				}
			}
		}
		k.run(10 * time.Minute)
		k.wantHeld(false, items...)
	}
}

// What has come back is republished in its time, and not when half an hour has passed.
func TestWhatHasComeBackIsRepublishedInItsTime(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	p := newProgram(t, l.Hosts[0].Node, Config{})
	for i := range 100 {
		p.hold(0, numbered(i), Life)
	}
	l.Clock.Run(time.Hour)
	p.journ.Commit()
	p.kill()
	p.restart()
	at := make(map[int]uint64)
	for minute := range 25 {
		l.Clock.Run(time.Minute)
		at[minute/5] = p.Stats().Republished
	}
	if at[0] == 0 || at[4] < 2*at[0] {
		t.Errorf("in windows of five minutes so many were republished: %v", at)
	}
}

// What our own put leaves at our node comes back as well.
func TestOwnPutsOutliveTheProgram(t *testing.T) {
	l := newLibrary(t, 5, Config{})
	p := newProgram(t, l.Hosts[0].Node, Config{})
	it := version(t, 1, "first")
	p.PutItem(it, PutOptions{}, func(_ PutResult, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	l.Clock.Run(time.Minute)
	p.kill()
	p.restart()
	if held, left, ok := p.shelves[0].get(it.Target(), l.Clock.Now()); !ok || !held.same(&it) || left < Life-2*time.Minute {
		t.Errorf("held %v for %v", ok, left)
	}
}

func TestKeptItemsOutliveTheProgram(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	p := newProgram(t, l.Hosts[0].Node, Config{})
	fixed, ended := immutable(1), immutable(2)
	first, second := version(t, 1, "first"), version(t, 2, "second")
	for _, it := range []Item{fixed, ended, first, second} {
		if err := p.Keep(it, KeepOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p.Unkeep(ended.Target())
	l.Clock.Run(10 * time.Second)
	next := map[krpc.ID]time.Time{}
	for _, target := range p.publisher.Keys() {
		_, next[target], _ = p.publisher.Job(target)
	}
	p.journ.Commit() // as it is every second
	for range 3 {
		p.kill()
		l.Clock.Run(time.Minute)
		p.restart()
	}
	if p.Kept() != 2 {
		t.Fatalf("%d items are kept", p.Kept())
	}
	for target, want := range next {
		if _, at, _ := p.publisher.Job(target); at.Sub(want).Abs() > time.Millisecond {
			t.Errorf("put next at %v, want %v as before", at, want)
		}
	}
	l.Clock.Run(time.Minute)
	if st := p.Stats(); st.KeepPuts != 0 {
		t.Errorf("%d were put at once", st.KeepPuts)
	}
	for range 10 {
		l.Clock.Run(30 * time.Minute)
		l.wantHolders(fixed)
		l.wantHolders(second)
	}
	// The network has forgotten them, for which nobody waits an hour more.
	p.kill()
	l.Clock.Run(3 * time.Hour)
	l.wantNoHolders(fixed)
	p.restart()
	l.Clock.Run(time.Minute)
	l.wantHolders(fixed)
	l.wantHolders(second)
}

// What somebody else publishes now is not kept after a restart either.
func TestOutdatedItemIsNotKeptAgain(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	p := newProgram(t, l.Hosts[0].Node, Config{})
	if err := p.Keep(version(t, 3, "ours"), KeepOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Clock.Run(time.Minute)
	if err := l.items[7].Keep(version(t, 5, "theirs"), KeepOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Clock.Run(2 * time.Hour)
	p.journ.Commit() // as it is every second
	p.kill()
	p.restart()
	if n := p.Kept(); n != 0 {
		t.Errorf("%d items are kept", n)
	}
}

// Ten thousand kept items come back at once, and are put in their time.
func TestManyKeptItemsComeBack(t *testing.T) {
	w := sim.New(sim.Config{Seed: 1})
	p := newProgram(t, w.Grow().Node, Config{MaxKept: 10_000})
	for i := range 10_000 {
		if err := p.Keep(immutable(i), KeepOptions{Stored: true}); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Run(20 * time.Minute)
	p.kill()
	start := time.Now()
	p.restart()
	t.Logf("restarted in %v", time.Since(start))
	if n := p.Kept(); n != 10_000 {
		t.Fatalf("%d items are kept", n)
	}
	windows := map[time.Duration]int{}
	for _, target := range p.publisher.Keys() {
		_, at, _ := p.publisher.Job(target)
		windows[at.Sub(w.Clock.Now())/(5*time.Minute)]++
	}
	// A third has become due meanwhile, since there was nobody to put it at.
	for window, n := range windows {
		if window > 0 && n > 1100 {
			t.Errorf("%d are put in the five minutes after %v", n, window*5*time.Minute)
		}
	}
	// There may be fewer now.
	p.kill()
	p.cfg.MaxKept = 100
	p.restart()
	if n := p.Kept(); n != 100 || strings.Count(p.log.String(), "not kept any longer") != 1 {
		t.Errorf("%d items are kept; logged %q", n, p.log.String())
	}
	if !strings.Contains(p.log.String(), "left_out=9900 max=100") {
		t.Errorf("logged %q", p.log.String())
	}
}

// The last record of an item says how it is, whoever keeps it and whoever does not.
func TestKeepingInManyGoroutines(t *testing.T) {
	w := sim.New(sim.Config{Seed: 1})
	p := newProgram(t, w.Grow().Node, Config{})
	done := make(chan bool)
	for range 4 {
		go func() {
			for i := range 300 {
				it := immutable(i % 7)
				if p.Keep(it, KeepOptions{Stored: true}); i%3 > 0 {
					p.Unkeep(it.Target())
				}
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	want := fmt.Sprint(p.publisher.Keys())
	p.kill()
	p.restart()
	if got := fmt.Sprint(p.publisher.Keys()); got != want {
		t.Errorf("%v are kept, want %v", got, want)
	}
}

// Serving a durable node allocates nothing either.
func TestServingWithAJournalAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k, p := newDurableKeeper(t, Config{})
	packets := served(t, k)
	now, out := k.world.Clock.Now(), new(outbox)
	for name, packet := range packets {
		want, at, step := 0., now, time.Duration(0)
		if name == "put, 206" {
			want, step = 1, 10*time.Second // see TestServingAllocatesNothing
		}
		n := testing.AllocsPerRun(100, func() {
			k.node.Deliver(at, stranger, packet, out)
			at = at.Add(step)
			p.journ.Commit()
		})
		if n != want {
			t.Errorf("%s: %v allocations, want %v", name, n, want)
		}
	}
}

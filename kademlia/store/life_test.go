package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
)

var (
	seed       = flag.Uint64("seed", 1, "seed of the worlds in which items live and die")
	churnNodes = flag.Int("nodes", 400, "nodes of the world with churn")
	churnItems = flag.Int("items", 200, "items in it that their publishers keep, and as many again that nobody does")
	churnHours = flag.Int("hours", 5, "hours of its time, at least 5")
)

// sized returns the size of a world. The race detector makes ten of one.
func sized(usual, race int) int {
	if raceEnabled {
		return race
	}
	return usual
}

// living is a world in which every node keeps items for others and republishes them.
type living struct {
	*sim.World
	items map[*kademlia.Node]*Items
	gone  [2]uint64 // republished and handed over by nodes that have gone
}

func newLiving(t *testing.T, cfg sim.Config) *living {
	t.Helper()
	t.Logf("%d nodes, -seed=%d", cfg.Nodes, *seed)
	w := &living{items: map[*kademlia.Node]*Items{}}
	made := uint64(0)
	cfg.Seed = *seed
	cfg.Setup = func(n *kademlia.Node) {
		made++
		s := New([]*kademlia.Node{n}, Config{Rand: rand.New(rand.NewPCG(*seed, made))})
		w.items[n] = s
		s.Start()
	}
	cfg.Teardown = func(n *kademlia.Node) {
		s := w.items[n]
		s.Close()
		delete(w.items, n)
		w.gone[0] += s.counters.republished.Load()
		w.gone[1] += s.counters.handedOver.Load()
	}
	w.World = sim.Build(cfg, 20*time.Millisecond, 8*time.Minute)
	return w
}

// republished returns how many republishings and handovers there have been.
func (w *living) republished() (republished, handedOver uint64) {
	republished, handedOver = w.gone[0], w.gone[1]
	for _, s := range w.items {
		republished += s.counters.republished.Load()
		handedOver += s.counters.handedOver.Load()
	}
	return republished, handedOver
}

// any returns the items of a random node.
func (w *living) any() *Items { return w.items[w.RandomHost().Node] }

// lookFor gets an item from a random node and adds the outcome to a tally.
func (w *living) lookFor(it Item, into *tally) {
	w.any().FindItem(it.Target(), GetOptions{}, func(res FindResult) {
		into.tries++
		if res.Found {
			into.found++
		}
	})
}

// tally is the outcomes of a number of gets.
type tally struct{ tries, found int }

func (c tally) share() float64 { return float64(c.found) / float64(c.tries) }

func (c tally) String() string {
	return fmt.Sprintf("%d of %d, %.3f%%", c.found, c.tries, 100*c.share())
}

func numbered(i int) Item {
	it, err := Immutable([]byte(fmt.Sprintf("i%de", i)))
	if err != nil {
		panic(err)
	}
	return it
}

// What was put in one moment is not republished in one: the load is flat.
func TestRepublishingIsSpread(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	const window, puts = 5 * time.Minute, 10_000
	w := newLiving(t, sim.Config{Nodes: 300})
	stored := 0
	for i := range puts {
		w.Clock.AfterFunc(time.Duration(i)*time.Millisecond, func() {
			w.any().PutItem(numbered(i), PutOptions{}, func(res PutResult, _ error) { stored += res.Stored })
		})
	}
	w.Clock.Run(time.Minute)
	if stored < puts*8*99/100 {
		t.Fatalf("stored %d times, want %d", stored, puts*8)
	}
	w.Clock.Run(29 * time.Minute)
	var loads []uint64
	for range 18 {
		before, _ := w.republished()
		w.Clock.Run(window)
		after, _ := w.republished()
		loads = append(loads, after-before)
	}
	t.Logf("republished in windows of %v, from the 30th minute on: %d", window, loads)
	for name, loads := range map[string][]uint64{"since the 30th minute": loads, "in the second hour": loads[6:]} {
		sum := uint64(0)
		for _, l := range loads {
			sum += l
		}
		mean := float64(sum) / float64(len(loads))
		peak := float64(slices.Max(loads)) / mean
		t.Logf("%s: mean %.0f, peak %.2f of that, %.2f republishings an item", name, mean, peak, float64(sum)/float64(puts))
		if peak > 2 {
			t.Errorf("%s the peak is more than twice the mean", name)
		}
	}
}

// With sessions of an hour, what a publisher keeps is found at any time, and what it put
// once until that expires, and no longer.
func TestItemsOutliveTheirHolders(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	w := newLiving(t, sim.Config{Nodes: *churnNodes})
	publishers := w.Hosts[:max(5, *churnNodes/100)]
	w.Churn(time.Hour, func(h *sim.Host) bool { return slices.Contains(publishers, h) })
	publisher := func(i int) *Items { return w.items[publishers[i%len(publishers)].Node] }
	var kept, alive, dead tally

	for i := range *churnItems {
		if err := publisher(i).Keep(numbered(i), KeepOptions{}); err != nil {
			t.Fatal(err)
		}
		// Nobody keeps the others: each is put once, at any time.
		once := numbered(*churnItems + i)
		put := 30*time.Minute + time.Duration(w.Rand.Int64N(int64(*churnHours-4)*int64(time.Hour)))
		w.Clock.AfterFunc(put, func() { publisher(i).PutItem(once, PutOptions{}, func(PutResult, error) {}) })
		for _, age := range []time.Duration{5, 30, 60, 90, 110, 118} {
			w.Clock.AfterFunc(put+age*time.Minute, func() { w.lookFor(once, &alive) })
		}
		w.Clock.AfterFunc(put+3*time.Hour, func() { w.lookFor(once, &dead) })
	}
	w.Clock.Run(10 * time.Minute)
	for minute := 10; minute < *churnHours*60; minute++ {
		w.Clock.Run(time.Minute)
		for range 10 {
			w.lookFor(numbered(w.Rand.IntN(*churnItems)), &kept)
		}
	}
	w.Clock.Run(time.Minute)
	republished, handedOver := w.republished()
	t.Logf("%d items kept: found %v", *churnItems, kept)
	t.Logf("%d items put once: found %v within 2 h, %v after 3 h", *churnItems, alive, dead)
	t.Logf("%.2f republishings an item and hour, %.2f handovers",
		float64(republished)/float64(*churnItems)/float64(*churnHours), float64(handedOver)/float64(*churnItems)/float64(*churnHours))
	if kept.share() < .999 {
		t.Error("want 99.9% of the gets to find what is kept")
	}
	if alive.share() < .99 {
		t.Error("want 99% of the gets to find what has not expired")
	}
	if dead.found > 0 || dead.tries != *churnItems {
		t.Error("want nobody to find what has expired")
	}
}

// The same seed gives the same datagrams at the same times, items included.
func TestLivingWorldRepeatsItself(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	run := func() uint64 {
		w := newLiving(t, sim.Config{Nodes: 40})
		w.Churn(time.Hour, nil)
		for i := range 40 {
			w.any().PutItem(numbered(i), PutOptions{}, func(PutResult, error) {})
			if err := w.any().Keep(numbered(100+i), KeepOptions{}); err != nil {
				t.Fatal(err)
			}
			w.Clock.Run(time.Minute)
			wanted := numbered(i)
			w.any().FindItem(wanted.Target(), GetOptions{}, func(FindResult) {})
		}
		w.Clock.Run(2 * time.Hour)
		return w.Net.TraceHash()
	}
	if first, second := run(), run(); first != second {
		t.Errorf("trace hashes %016x and %016x", first, second)
	}
}

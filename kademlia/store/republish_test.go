package store

import (
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// put puts it from a random node.
func (w *living) put(t *testing.T, it Item) {
	t.Helper()
	stored := 0
	w.any().PutItem(it, PutOptions{}, func(res PutResult, err error) {
		if err != nil {
			t.Fatal(err)
		}
		stored = res.Stored
	})
	w.Clock.RunUntil(func() bool { return stored > 0 }, time.Minute)
	if stored != 8 {
		t.Fatalf("stored by %d nodes", stored)
	}
}

// holders returns the nodes that hold the item, and the longest that one does so yet.
func (w *living) holders(it Item) (hosts []*sim.Host, left time.Duration) {
	for _, h := range w.Hosts {
		if h.Down {
			continue
		}
		if held, l, ok := w.items[h.Node].shelves[0].get(it.Target(), w.Clock.Now()); ok && held.same(&it) {
			hosts = append(hosts, h)
			left = max(left, l)
		}
	}
	return hosts, left
}

// heldByClosest returns how many of the 8 closest nodes hold the item.
func (w *living) heldByClosest(it Item) (n int) {
	closest := w.Closest(it.Target(), 8)
	hosts, _ := w.holders(it)
	for _, h := range hosts {
		if slices.Contains(closest, krpc.NodeInfo{ID: h.ID(), Addr: h.Addr}) {
			n++
		}
	}
	return n
}

func TestNewcomersAreGivenItems(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	for _, ipv6 := range []bool{false, true} {
		w := newLiving(t, sim.Config{Nodes: 30, IPv6: ipv6})
		list := []Item{numbered(1), numbered(2), version(t, 3, "mutable")}
		for _, it := range list {
			w.put(t, it)
		}
		for range 60 {
			w.Grow()
			w.Clock.Run(time.Second)
		}
		w.Clock.Run(20 * time.Minute) // less than any republishing takes
		for i, it := range list {
			if n := w.heldByClosest(it); n < 7 {
				t.Errorf("ipv6 %t, item %d: %d of the 8 closest hold it", ipv6, i, n)
			}
			if _, left := w.holders(it); left > Life-20*time.Minute {
				t.Errorf("ipv6 %t, item %d: the move has prolonged its life to %v", ipv6, i, left)
			}
		}
		republished, handedOver := w.republished()
		t.Logf("ipv6 %t: %d items handed over", ipv6, handedOver)
		if republished > 0 {
			t.Errorf("republished %d times", republished)
		}
		w.Clock.Run(Life - 20*time.Minute)
		for i, it := range list {
			if hosts, _ := w.holders(it); len(hosts) > 0 {
				t.Errorf("ipv6 %t, item %d: %d nodes hold it for ever", ipv6, i, len(hosts))
			}
		}
	}
}

// Half of those who hold an item go, and nobody comes in: the others find out when they
// republish, and the next nodes take the empty places.
func TestRepublishingFillsThePlacesOfTheDead(t *testing.T) {
	w := newLiving(t, sim.Config{Nodes: 60})
	it := numbered(1)
	w.put(t, it)
	hosts, _ := w.holders(it)
	for _, h := range hosts[:4] {
		w.Kill(h)
	}
	w.Clock.Run(republishMin + republishSpread)
	if n := w.heldByClosest(it); n != 8 {
		t.Errorf("%d of the 8 closest hold it", n)
	}
	if _, left := w.holders(it); left > Life-republishMin-republishSpread {
		t.Errorf("republishing has prolonged its life to %v", left)
	}
}

// The first who republishes spares the others the work, time and again.
func TestOneRepublishesForAll(t *testing.T) {
	const count = 200
	w := newLiving(t, sim.Config{Nodes: 60})
	for i := range count {
		w.put(t, numbered(i))
	}
	w.Clock.Run(republishMin + republishSpread)
	republished, _ := w.republished()
	t.Logf("%d items republished %d times in 90 minutes", count, republished)
	if republished < count || republished > 2*count {
		t.Error("want each to be republished once or twice")
	}
}

// Who holds an item for which there are k nearer nodes leaves it to them.
func TestHoldersThatAreFarLeaveItToTheNear(t *testing.T) {
	w := newLiving(t, sim.Config{Nodes: 20})
	it := numbered(1)
	w.put(t, it)
	first, _ := w.holders(it)
	for range 200 {
		w.Grow()
		w.Clock.Run(time.Second)
	}
	far := slices.MaxFunc(first, func(a, b *sim.Host) int { return krpc.CompareDistance(a.ID(), b.ID(), it.Target()) })
	s := w.items[far.Node]
	s.republishers[0].republish(it.Target())
	w.Clock.Run(time.Minute)
	if _, next, ok := s.shelves[0].takeDue(w.Clock.Now().Add(republishMin + republishSpread)); ok {
		t.Errorf("it is due again, next %v", next)
	}
	if n := w.heldByClosest(it); n != 8 {
		t.Errorf("%d of the 8 closest hold it", n)
	}
}

// A holder that has missed an update comes upon it when it republishes, and takes it.
func TestRepublishingTakesInWhatIsNewer(t *testing.T) {
	w := newLiving(t, sim.Config{Nodes: 30})
	older, newer := version(t, 1, "older"), version(t, 2, "newer")
	w.put(t, older)
	hosts, _ := w.holders(older)
	late := hosts[0]
	late.Net.SetDown(true)
	w.any().PutItem(newer, PutOptions{}, func(PutResult, error) {})
	w.Clock.Run(time.Minute)
	late.Net.SetDown(false)
	if hosts, _ := w.holders(older); len(hosts) != 1 {
		t.Fatalf("%d nodes have missed the update, want one", len(hosts))
	}
	w.items[late.Node].republishers[0].republish(older.Target())
	w.Clock.Run(time.Minute)
	if hosts, _ := w.holders(newer); !slices.Contains(hosts, late) {
		t.Error("it holds the older one yet")
	}
}

package store

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// world is a network of nodes each of which keeps items.
type world struct {
	*sim.World
	t     testing.TB
	items map[*kademlia.Node]*Items
}

func newWorld(t testing.TB, cfg sim.Config) *world {
	t.Helper()
	w := emptyWorld(t, cfg)
	w.grow(cfg.Nodes)
	return w
}

func emptyWorld(t testing.TB, cfg sim.Config) *world {
	w := &world{t: t, items: map[*kademlia.Node]*Items{}}
	cfg.Seed = 1
	cfg.Setup = func(n *kademlia.Node) {
		w.items[n] = New([]*kademlia.Node{n}, Config{Rand: rand.New(rand.NewPCG(1, uint64(len(w.items))))})
	}
	w.World = sim.New(cfg)
	return w
}

// grow adds nodes and lets them settle.
func (w *world) grow(nodes int) {
	for range nodes {
		w.Grow()
		w.Clock.Run(200 * time.Millisecond)
	}
	w.Clock.Run(2 * time.Minute)
}

// at returns the items of the i-th node.
func (w *world) at(i int) *Items { return w.items[w.Hosts[i].Node] }

// put puts it from s and waits for the outcome.
func (w *world) put(s *Items, it Item, o PutOptions) (res PutResult, err error) {
	w.t.Helper()
	done := false
	s.PutItem(it, o, func(r PutResult, e error) {
		if done {
			w.t.Error("the result came twice")
		}
		res, err, done = r, e, true
	})
	if !w.Clock.RunUntil(func() bool { return done }, time.Minute) {
		w.t.Fatal("the put has not ended after a minute")
	}
	return res, err
}

// mustPut is put where k nodes are there to store the item.
func (w *world) mustPut(s *Items, it Item, o PutOptions) {
	w.t.Helper()
	want := 0
	for _, n := range s.nodes {
		want += n.K()
	}
	if res, err := w.put(s, it, o); err != nil || res.Stored != want || res.Asked != want {
		w.t.Fatalf("stored by %d of %d nodes: %v %v", res.Stored, res.Asked, err, res.Failures)
	}
}

// get looks up an item from s.
func (w *world) get(s *Items, target krpc.ID, o GetOptions) (res FindResult) {
	w.t.Helper()
	done := false
	s.FindItem(target, o, func(r FindResult) {
		if done {
			w.t.Error("the result came twice")
		}
		res, done = r, true
	})
	if !w.Clock.RunUntil(func() bool { return done }, time.Minute) {
		w.t.Fatal("the get has not ended after a minute")
	}
	return res
}

// wantFound checks that s finds it.
func (w *world) wantFound(s *Items, it Item) FindResult {
	w.t.Helper()
	res := w.get(s, it.Target(), GetOptions{Salt: it.Salt})
	if !res.Found || !res.Item.same(&it) || !bytes.Equal(res.Item.Salt, it.Salt) {
		w.t.Errorf("found %v %q, seq %d; want %q, seq %d", res.Found, res.Item.V, res.Item.Seq, it.V, it.Seq)
	}
	return res
}

// holders returns the nodes that hold it.
func (w *world) holders(it Item) (holders []*sim.Host) {
	for _, h := range w.Hosts {
		if s := w.items[h.Node]; s.held(0, it.Target()).equals(&it) {
			holders = append(holders, h)
		}
	}
	return holders
}

func (w *world) randomTarget() krpc.ID { return krpc.RandomID(w.Rand) }

// hold has node i of s hold it for so long.
func (s *Items) hold(i int, it Item, life time.Duration) {
	now := s.clock.Now()
	s.shelves[i].take(offer{item: it, target: it.Target(), life: life, self: s.nodes[i].ID(), now: now}, &it)
}

// held returns what node i of s holds at the target; nil: nothing.
func (s *Items) held(i int, target krpc.ID) *Item {
	it, _, _ := s.shelves[i].get(target, s.clock.Now())
	return it
}

func (it *Item) equals(o *Item) bool { return it != nil && it.same(o) }

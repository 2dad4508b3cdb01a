package store

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// addNode adds a node to a world, with a configuration of its own, which joins when it is started.
func (w *world) addNode(addr netip.AddrPort, change func(*kademlia.NodeConfig)) (*kademlia.Node, *Items) {
	w.t.Helper()
	var n *kademlia.Node
	cfg := kademlia.NodeConfig{
		Transport: w.Net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			n.Deliver(now, from, b, out)
		}),
		Clock: w.Clock, Rand: rand.New(rand.NewPCG(uint64(addr.Addr().As4()[3]), 9)),
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			w.Clock.AfterFunc(0, func() { done([]netip.AddrPort{w.RandomHost().Addr}, nil) })
		},
	}
	change(&cfg)
	n, err := kademlia.NewNode(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s := New([]*kademlia.Node{n}, Config{Rand: rand.New(rand.NewPCG(3, 4))})
	n.Start()
	return n, s
}

// An item that is longer than ten times a get goes only to who is where he says. Whoever is gets
// it, also who asks without answering, and who has never been heard of.
func TestLargeItemsReachWhoeverAsks(t *testing.T) {
	for _, reader := range []struct {
		name     string
		readOnly bool
	}{{"a node that has just come", false}, {"a node that answers nothing", true}} {
		t.Run(reader.name, func(t *testing.T) {
			w := newWorld(t, sim.Config{Nodes: 5})
			holder, _ := w.addNode(simnet.Addr(900), func(c *kademlia.NodeConfig) {
				c.Proven = krpc.NewProven(64, rand.New(rand.NewPCG(1, 1)))
			})
			w.Clock.Run(2 * time.Minute)
			it := ofSize(1000, 1)
			put := krpc.Message{Method: krpc.MethodPut, Token: holder.AppendToken(nil, stranger.Addr(), it.Target()), V: it.V}
			holder.Deliver(w.Clock.Now(), stranger, packetOf(put), new(outbox))

			n, s := w.addNode(simnet.Addr(901), func(c *kademlia.NodeConfig) { c.ReadOnly = reader.readOnly })
			w.Clock.RunUntil(func() bool { return len(n.Closest(it.Target(), 1)) > 0 }, time.Minute)
			asked := w.Clock.Now()
			res := w.get(s, it.Target(), GetOptions{})
			if took := w.Clock.Now().Sub(asked); !res.Found || string(res.Item.V) != string(it.V) || took > 2*time.Second {
				t.Errorf("%+v after %v", res, took)
			}
			if st := holder.Stats().Endpoint; st.Held == 0 || st.Brief > 0 {
				t.Errorf("%d held, %d answered briefly", st.Held, st.Brief)
			}
			w.Clock.Run(time.Minute)
			st := n.Stats()
			for _, b := range st.Buckets {
				if b.Bad > 0 {
					t.Error("the holder passes for dead")
				}
			}
			if lost := st.Endpoint.Methods[krpc.MethodGet].Timeouts; lost > 0 {
				t.Errorf("%d gets without an answer", lost)
			}
		})
	}
}

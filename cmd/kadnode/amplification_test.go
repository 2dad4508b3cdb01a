package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

// The most bytes of a reply for each byte of the shortest query there is of its method, which is
// what somebody gains who has replies sent to a victim.
const (
	gainEver = 10
	// gainStrained holds under strain, towards addresses of which nobody knows whether the query
	// came from there.
	gainStrained = 4
)

// reflector is a node that holds all that replies can be filled with, and its transport.
type reflector struct {
	*simnet.Host
	t        *testing.T
	w        *sim.World
	node     *kademlia.Node
	strained bool
	v6       bool
	swarm    krpc.ID
	item     krpc.ID
	asker    netip.AddrPort
	sent     int // to the asker, in bytes
	items    int
	reply    []byte // the last one to the asker
}

// Strained implements krpc.Strainer: it is under strain when the test says so.
func (r *reflector) Strained() bool { return r.strained }

// SetPreferred implements krpc.Strainer.
func (r *reflector) SetPreferred(func(time.Time) *krpc.Preferred) {}

// Buffer implements krpc.Outbox.
func (r *reflector) Buffer() []byte { return make([]byte, 0, krpc.MaxDatagram) }

// Push implements krpc.Outbox.
func (r *reflector) Push(to netip.AddrPort, b []byte) { _ = r.Send(to, b) }

// Send implements krpc.Transport.
func (r *reflector) Send(to netip.AddrPort, b []byte) error {
	if to != r.asker {
		return r.Host.Send(to, b)
	}
	r.sent += len(b)
	var m krpc.Message
	if err := m.Decode(b); err != nil {
		r.t.Error(err)
	}
	if m.Kind != krpc.KindQuery {
		r.reply = bytes.Clone(b)
	}
	if m.V != nil {
		r.items++
	}
	return nil
}

func newReflector(t *testing.T, v6 bool, k int) *reflector {
	r := &reflector{t: t, v6: v6, swarm: krpc.ID{7}}
	r.w = sim.Build(sim.Config{Nodes: 80, Seed: 1, IPv6: v6, K: k}, 20*time.Millisecond, 5*time.Minute)
	r.Host = r.w.Net.Host(r.client(0), func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		r.node.Deliver(now, from, b, out)
	})
	rng := rand.New(rand.NewPCG(1, 2))
	var err error
	r.node, err = kademlia.NewNode(kademlia.NodeConfig{
		Transport: r, Clock: r.w.Clock, Rand: rng, K: k,
		Proven: krpc.NewProven(1024, rng), Version: protocolVersion,
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			r.w.Clock.AfterFunc(0, func() { done([]netip.AddrPort{r.w.Hosts[0].Addr}, nil) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*kademlia.Node{r.node}
	tracker.New(nodes, tracker.Config{Swarms: tracker.SwarmsConfig{Rand: rng}})
	store.New(nodes, store.Config{Rand: rng})
	r.node.Start()
	r.w.Clock.Run(30 * time.Minute)
	for i := range 200 {
		ih := r.swarm
		if i%2 == 1 {
			ih = krpc.ID{byte(i), 1}
		}
		r.announce(r.client(1+i), ih, i%3 == 0)
	}
	r.item = r.put(r.client(1000), 995)
	return r
}

// client returns the address of the i-th asker, each in a network of its own.
func (r *reflector) client(i int) netip.AddrPort {
	if r.v6 {
		return simnet.Addr6(500_000 + i)
	}
	return simnet.Addr(500_000 + i)
}

// insist asks as often as it takes to get a reply under strain. It returns what was sent for the last
// query.
func (r *reflector) insist(from netip.AddrPort, q krpc.Message) (m krpc.Message, got int) {
	q.Kind, q.TID, q.HasID, q.ID = krpc.KindQuery, []byte("a"), true, r.neighbour(from)
	for r.asker, r.reply, r.sent = from, nil, 0; r.reply == nil; {
		r.node.Deliver(r.w.Clock.Now(), from, q.Append(nil), r)
	}
	if err := m.Decode(r.reply); err != nil {
		r.t.Fatal(err)
	}
	r.w.Clock.Run(3 * time.Second)
	return m, r.sent
}

// neighbour returns an id for the node at a that the table has room for, so that it is pinged.
func (r *reflector) neighbour(a netip.AddrPort) krpc.ID {
	id, ip := r.node.ID(), a.Addr().As16()
	copy(id[krpc.IDLen-8:], ip[8:])
	return id
}

// probe is ask by a node that is to be pinged, with what is sent to it in the seconds after it.
func (r *reflector) probe(from netip.AddrPort, q krpc.Message) (sent, got int) {
	r.t.Helper()
	q.ID = r.neighbour(from)
	_, sent, _ = r.ask(from, q)
	r.w.Clock.Run(3 * time.Second)
	return sent, r.sent
}

// ask has a query come from from, and returns the reply, how long the query was, and how much was
// sent for it.
func (r *reflector) ask(from netip.AddrPort, q krpc.Message) (m krpc.Message, sent, got int) {
	r.t.Helper()
	q.Kind, q.TID, q.HasID = krpc.KindQuery, []byte("a"), true
	b := q.Append(nil)
	r.asker, r.reply, r.sent = from, nil, 0
	r.node.Deliver(r.w.Clock.Now(), from, b, r)
	if r.reply == nil {
		r.w.Clock.Run(2 * time.Second)
	}
	if err := m.Decode(r.reply); err != nil || m.Kind != krpc.KindReply {
		r.t.Fatalf("%v: reply %q, error %v", q.Method, r.reply, err)
	}
	return m, len(b), r.sent
}

func (r *reflector) announce(from netip.AddrPort, ih krpc.ID, seed bool) {
	r.t.Helper()
	m, _, _ := r.ask(from, krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih})
	r.ask(from, krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 1, Token: m.Token, Seed: seed})
}

// put stores an item with a string of so many bytes, which are 995 at most.
func (r *reflector) put(from netip.AddrPort, size int) krpc.ID {
	r.t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	it, err := store.Sign(key, fmt.Append(nil, size), 1<<62, fmt.Appendf(nil, "%d:%0*d", size, size, 0))
	if err != nil {
		r.t.Fatal(err)
	}
	m, _, _ := r.ask(from, krpc.Message{Method: krpc.MethodGet, HasTarget: true, Target: it.Target()})
	r.ask(from, krpc.Message{
		Method: krpc.MethodPut, Token: m.Token, V: it.V, K: it.K, Sig: it.Sig, Salt: it.Salt, HasSeq: true, Seq: it.Seq,
	})
	return it.Target()
}

// shortest returns the shortest queries of each method, and one more for all that they can ask for.
func (r *reflector) shortest() map[string]krpc.Message {
	get := func(m krpc.Method, ih krpc.ID) krpc.Message {
		return krpc.Message{Method: m, HasInfoHash: true, InfoHash: ih}
	}
	find := func(m krpc.Method, target krpc.ID) krpc.Message {
		return krpc.Message{Method: m, HasTarget: true, Target: target}
	}
	both := find(krpc.MethodFindNode, krpc.ID{1})
	both.Want = krpc.WantN4 | krpc.WantN6
	scrape := get(krpc.MethodGetPeers, r.swarm)
	scrape.Scrape = true
	return map[string]krpc.Message{
		"ping":                {Method: krpc.MethodPing},
		"find_node":           find(krpc.MethodFindNode, krpc.ID{1}),
		"find_node of both":   both,
		"get_peers of few":    get(krpc.MethodGetPeers, krpc.ID{1, 1}),
		"get_peers of many":   get(krpc.MethodGetPeers, r.swarm),
		"get_peers scrape":    scrape,
		"sample_infohashes":   find(krpc.MethodSampleInfohashes, krpc.ID{1}),
		"get of nothing":      find(krpc.MethodGet, krpc.ID{1}),
		"get of a large item": find(krpc.MethodGet, r.item),
	}
}

// Who asks for an item again before the victim could have answered has paid twice: the item is sent,
// and no more than ten times what came, however long the item is and however often he asks.
func TestAmplificationOfAskingAgain(t *testing.T) {
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
	for _, v6 := range []bool{false, true} {
		for _, k := range []int{8, 20} {
			r := newReflector(t, v6, k)
			asked, worst, items := 0, 0., 0
			for size := 480; size <= 995; size += 9 {
				item := r.put(r.client(1001+size), size)
				for again := 2; again <= 6; again++ {
					for _, tids := range [][2]int{{1, 1}, {32, 32}, {1, 32}} {
						asked++
						gain, got := r.askAgain(r.client(5000+asked), item, again, tids)
						worst, items = max(worst, gain), items+got
						if gain > gainEver {
							t.Errorf("%d bytes, %d gets with ids of %v: %.2f times the queries", size, again, tids, gain)
						}
					}
				}
			}
			t.Logf("IPv6 %v, k=%d: at most %.2f times the queries, with %d items for %d askers", v6, k, worst, items, asked)
			if items < asked {
				t.Errorf("%d items for %d askers", items, asked)
			}
		}
	}
}

// askAgain gets an item so many times in the name of somebody who does not answer, with transaction
// ids of one length, and of another the last time. It returns how many times the bytes of the
// queries he is sent, and how often the item.
func (r *reflector) askAgain(from netip.AddrPort, item krpc.ID, times int, tids [2]int) (gain float64, items int) {
	q := krpc.Message{Kind: krpc.KindQuery, HasID: true, Method: krpc.MethodGet, HasTarget: true, Target: item}
	r.asker, r.sent, r.items = from, 0, 0
	paid := 0
	for i := range times {
		q.TID = bytes.Repeat([]byte{'a' + byte(i)}, tids[i/(times-1)])
		b := q.Append(nil)
		paid += len(b)
		r.node.Deliver(r.w.Clock.Now(), from, b, r)
	}
	r.w.Clock.Run(1500 * time.Millisecond)
	return float64(r.sent) / float64(paid), r.items
}

// Whoever asks in the name of another has him sent no more than the bounds, and what is needed to
// go on is among it.
func TestAmplificationIsBounded(t *testing.T) {
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
	for _, tt := range []struct {
		name string
		v6   bool
		k    int
	}{{"ipv4", false, 8}, {"ipv6", true, 8}, {"ipv4, k=20", false, 20}, {"ipv6, k=20", true, 20}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReflector(t, tt.v6, tt.k)
			i := 2000
			for name, q := range r.shortest() {
				i++
				r.strained = false
				sent, ever := r.probe(r.client(i), q)
				reply := len(r.reply)
				r.strained = true
				m, strained := r.insist(r.client(-i), q)
				q.ReadOnly = true // so that no ping is paid for
				_, _, proven := r.ask(r.client(1), q)
				q.ReadOnly = false
				gain := func(n int) float64 { return float64(n) / float64(sent) }
				t.Logf("%-20s %3d bytes: %4d, %4.1f times; under strain %3d, %3.1f times; who has proved his address %4d", name, sent, ever, gain(ever), strained, gain(strained), proven)
				if gain(ever) > gainEver || gain(strained) > gainStrained {
					t.Errorf("%s: %.2f times the query, %.2f under strain", name, gain(ever), gain(strained))
				}
				if proven < reply {
					t.Errorf("%s: who has proved his address got %d bytes, want %d", name, proven, reply)
				}
				if q.Method != krpc.MethodPing && len(m.Nodes)+len(m.Nodes6) == 0 {
					t.Errorf("%s: no nodes", name)
				}
				if q.Method == krpc.MethodGetPeers && len(m.Token) == 0 {
					t.Errorf("%s: no token", name)
				}
			}
		})
	}
}

package store

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

func TestWhatOnePutsAllGet(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v6=%v", v6), func(t *testing.T) {
			w := newWorld(t, sim.Config{Nodes: 40, IPv6: v6})
			items := []Item{immutable(1), mutable(t, "", 5, "2:hi"), mutable(t, "salt", 0, "le")}
			for _, it := range items {
				w.mustPut(w.at(3), it, PutOptions{})
			}
			for i := range w.Hosts {
				for _, it := range items {
					res := w.wantFound(w.at(i), it)
					if res.Left > Life || res.Left < Life-time.Minute || res.Contested {
						t.Errorf("left %v, contested %v", res.Left, res.Contested)
					}
					// Who put it is among the closest, for others, and holds none.
					if it.Mutable() && res.Holders < 7 || res.Holders < 1 {
						t.Errorf("%d holders of %q", res.Holders, it.V)
					}
				}
			}
			if res := w.get(w.at(0), w.randomTarget(), GetOptions{}); res.Found || res.Holders != 0 || res.Lookups[0].Err != nil {
				t.Errorf("found what nobody has put: %+v", res)
			}
		})
	}
}

func TestOwnShelfComesFirst(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 10})
	it, s := immutable(1), w.at(3)
	s.hold(0, it, time.Hour)
	found := false
	s.FindItem(it.Target(), GetOptions{}, func(res FindResult) {
		found = res.Found && res.Holders == 1 && res.Left == time.Hour && len(res.Lookups) == 0
	})
	if !found {
		t.Error("asked others for what it holds itself")
	}
}

func TestHighestSeqWinsAndIsSpread(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 40})
	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	w.mustPut(w.at(0), v1, PutOptions{})
	holders := w.holders(v1)
	w.items[holders[5].Node].hold(0, v2, 30*time.Minute)
	reader := w.at(slices.IndexFunc(w.Hosts, func(h *sim.Host) bool { return !slices.Contains(holders, h) }))
	if res := w.wantFound(reader, v2); res.Holders != 1 {
		t.Errorf("%d holders of the newer version", res.Holders)
	}
	w.Clock.Run(10 * time.Second)
	if got := w.holders(v2); len(got) != 8 || len(w.holders(v1)) != 0 {
		t.Errorf("%d nodes have the newer version, %d the older", len(got), len(w.holders(v1)))
	}
	if st := reader.Stats(); st.Updated != 7 || st.CopiesLeft != 0 || st.Spreading != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestOwnShelfIsBroughtUpToDate(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 20})
	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	w.at(1).hold(0, v1, time.Hour)
	w.at(2).hold(0, v1, time.Hour)
	w.mustPut(w.at(2), v2, PutOptions{})
	if !w.at(2).held(0, v2.Target()).equals(&v2) {
		t.Error("who puts keeps the older version")
	}
	w.wantFound(w.at(1), v2)
	if !w.at(1).held(0, v2.Target()).equals(&v2) {
		t.Error("who gets keeps the older version")
	}
}

func TestOnlyNewerIsSent(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 20})
	v2 := mutable(t, "salt", 2, "2:v2")
	w.mustPut(w.at(0), v2, PutOptions{})
	for _, c := range []struct {
		seen  int64
		found bool
	}{{1, true}, {2, false}, {3, false}} {
		res := w.get(w.at(1), v2.Target(), GetOptions{Salt: v2.Salt, Seen: &c.seen})
		if res.Found != c.found || res.Holders < 8 {
			t.Errorf("seen %d: found %v, %d holders", c.seen, res.Found, res.Holders)
		}
	}
}

func TestAllReadersAgreeOnRivals(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 30})
	a, b := mutable(t, "", 3, "1:a"), mutable(t, "", 3, "1:b")
	for i, n := range w.Closest(a.Target(), 8) {
		host := slices.IndexFunc(w.Hosts, func(h *sim.Host) bool { return h.ID() == n.ID })
		w.at(host).hold(0, []Item{a, b}[i%2], time.Hour)
	}
	for i := range w.Hosts {
		if res := w.wantFound(w.at(i), b); !res.Contested {
			t.Error("nobody noticed the rival")
		}
	}
}

// lies returns what a liar may say of an item. For an immutable one, all that counts
// is the value.
func lies(genuine Item) []func(q, r *krpc.Message) {
	alter := func(f func(*Item)) func(q, r *krpc.Message) {
		return func(q, r *krpc.Message) {
			it := genuine
			f(&it)
			serve(q, r, it, 3600)
		}
	}
	n := 0
	lies := []func(q, r *krpc.Message){
		alter(func(it *Item) { it.V = []byte("4:evil") }),
		alter(func(it *Item) { *it = Item{V: []byte("4:evil")} }),
		alter(func(it *Item) { *it, _ = Sign(owner, []byte("another"), 9, []byte("4:evil")) }),
		alter(func(it *Item) { n++; it.V = fmt.Appendf(nil, "i%de", 1000+n) }),
		alter(func(it *Item) { it.K = make([]byte, 32) }),
		func(_, r *krpc.Message) { r.HasSeq, r.Seq = true, 1<<40 },
		func(_, r *krpc.Message) { r.HasTTL, r.TTL = true, 1<<62 },
	}
	if genuine.Mutable() {
		lies = append(lies,
			alter(func(it *Item) { it.Seq = 1 << 40 }),
			alter(func(it *Item) { it.Seq = -1 }),
			alter(func(it *Item) { it.Sig = make([]byte, 64) }),
			alter(func(it *Item) { it.Sig = nil }),
			alter(func(it *Item) { it.K, it.Sig = nil, nil }),
			func(_, r *krpc.Message) { r.V, r.K, r.Sig = genuine.V, genuine.K, genuine.Sig },
		)
	}
	return lies
}

func TestLiarsNeverWin(t *testing.T) {
	for _, it := range []Item{mutable(t, "", 7, "5:fresh"), immutable(7)} {
		for j, lie := range lies(it) {
			honest := 6 // the seventh closest
			ss := newStubs(t, 12, it.Target(), func(i int, q, r *krpc.Message) {
				switch {
				case q.Method != krpc.MethodGet:
				case i == honest:
					serve(q, r, it, 1800)
				default:
					lie(q, r)
				}
			})
			res := ss.wantFound(ss.client, it)
			if res.Contested || res.Holders != 1 || res.Left > 30*time.Minute || it.Mutable() && res.Lookups[0].Err != nil {
				t.Errorf("lie %d about %q: %+v", j, it.V, res)
			}
			honest = -1
			if res := ss.get(ss.client, it.Target(), GetOptions{}); res.Found || res.Lookups[0].Err != nil {
				t.Errorf("lie %d about %q: %+v", j, it.V, res)
			}
		}
	}
}

func TestOlderVersionsNeverWin(t *testing.T) {
	fresh, older := mutable(t, "", 7, "5:fresh"), mutable(t, "", 6, "5:older")
	ss := newStubs(t, 12, fresh.Target(), func(i int, q, r *krpc.Message) {
		if i == 7 {
			serve(q, r, fresh, 1800)
		} else {
			serve(q, r, older, 7200)
		}
	})
	if res := ss.wantFound(ss.client, fresh); res.Holders != 1 || res.Left > 30*time.Minute {
		t.Errorf("%+v", res)
	}
}

func TestTheSameReplyIsVerifiedOnce(t *testing.T) {
	it := mutable(t, "", 7, "5:fresh")
	s := &search{items: newKeeper(t, 1, Config{}).Items, target: it.Target()}
	var r krpc.Message
	serve(&krpc.Message{Method: krpc.MethodGet}, &r, it, 1800)
	for range 3 {
		s.visit(0, krpc.NodeInfo{}, r.Clone())
	}
	if len(s.holders) != 3 || s.holders[2].item != s.holders[0].item || s.holders[0].item == nil {
		t.Errorf("holders %+v", s.holders)
	}
}

func TestACopyLivesHalfAsLongForEachNodeBetween(t *testing.T) {
	it := mutable(t, "", 1, "2:v1")
	for _, c := range []struct {
		name    string
		holders int   // the closest so many have the item
		ttl     int64 // that they name
		want    int64 // of the copy; 0: none is left
	}{
		{"at the closest node", 0, 3600, 3600},
		{"behind one", 1, 3600, 1800},
		{"behind three", 3, 3600, 450},
		{"of an item that is kept for too long", 2, 1 << 60, 1800},
		{"not for so short", 3, 400, 0},
		{"of foreign implementations", 3, -1, 0},
		{"of one that has expired", 3, 0, 0},
		{"where all have it", 8, 3600, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ss := newStubs(t, 12, it.Target(), func(i int, q, r *krpc.Message) {
				if i < c.holders || i == 7 {
					serve(q, r, it, c.ttl)
				}
			})
			ss.wantFound(ss.client, it)
			ss.Clock.Run(10 * time.Second)
			asked := ss.puts()
			if c.want == 0 {
				if len(asked) > 0 {
					t.Errorf("copies were left at %v", asked)
				}
				return
			}
			if !slices.Equal(asked, []int{c.holders}) {
				t.Fatalf("copies were left at %v, want one at %d", asked, c.holders)
			}
			q := ss.list[c.holders].puts[0]
			if slack := int64(15) >> c.holders; !q.HasTTL || q.TTL > c.want || q.TTL < c.want-slack-1 || q.HasCas {
				t.Errorf("ttl %v %d, want up to %d", q.HasTTL, q.TTL, c.want)
			}
			if st := ss.client.Stats(); st.CopiesLeft != 1 || st.Updated != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestAnUpdateLivesAsLongAsTheNewerVersion(t *testing.T) {
	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	for _, c := range []struct{ ttl, want int64 }{{1800, 1800}, {-1, 3600}} {
		ss := newStubs(t, 8, v1.Target(), func(i int, q, r *krpc.Message) {
			switch i {
			case 2:
				serve(q, r, v2, c.ttl)
			case 3, 4:
				serve(q, r, v1, 7200)
			}
		})
		ss.wantFound(ss.client, v2)
		ss.Clock.Run(10 * time.Second)
		for _, i := range []int{3, 4} {
			if len(ss.list[i].puts) != 1 {
				t.Fatalf("stub %d was asked %d times", i, len(ss.list[i].puts))
			}
			if q := ss.list[i].puts[0]; q.Seq != 2 || q.TTL > c.want || q.TTL < c.want-15 {
				t.Errorf("seq %d, ttl %d, want 2 and up to %d", q.Seq, q.TTL, c.want)
			}
		}
	}
}

func TestGetsLeaveABoundedNumberOfStores(t *testing.T) {
	it := mutable(t, "", 1, "2:v1")
	ss := newStubs(t, 8, it.Target(), func(i int, q, r *krpc.Message) {
		if i == 3 {
			serve(q, r, it, 7200)
		}
		if q.Method == krpc.MethodPut {
			r.Kind = 0
		}
	})
	for range 2 * maxSpreading {
		ss.client.FindItem(it.Target(), GetOptions{}, func(FindResult) {})
	}
	ss.Clock.Run(5 * time.Second)
	if st := ss.client.Stats(); st.Spreading != maxSpreading || st.MaxSpreading != maxSpreading {
		t.Errorf("%d stores under way, want %d", st.Spreading, maxSpreading)
	}
	ss.Clock.Run(time.Minute)
	if st := ss.client.Stats(); st.Spreading != 0 || st.CopiesLeft != 0 {
		t.Errorf("stats %+v", st)
	}
}

// Reading alone keeps no item alive.
func TestWhatIsNotPutAgainExpiresThoughItIsRead(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 30})
	items := []Item{immutable(1), mutable(t, "", 1, "2:v1")}
	for _, it := range items {
		w.mustPut(w.at(0), it, PutOptions{})
	}
	for range 26 {
		w.Clock.Run(5 * time.Minute)
		for range 3 {
			w.get(w.items[w.RandomHost().Node], items[0].Target(), GetOptions{})
			w.get(w.items[w.RandomHost().Node], items[1].Target(), GetOptions{})
		}
	}
	for _, it := range items {
		if n := len(w.holders(it)); n > 0 {
			t.Errorf("%d nodes hold %q still", n, it.V)
		}
	}
}

func TestStoppedGetEndsAtOnce(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 20})
	ended := 0
	stop := w.at(3).FindItem(w.randomTarget(), GetOptions{}, func(res FindResult) {
		if ended++; res.Found || res.Lookups[0].Err != kademlia.ErrStopped {
			t.Errorf("ended with %+v", res)
		}
	})
	w.Clock.Run(50 * time.Millisecond)
	stop()
	stop()
	if ended != 1 {
		t.Errorf("the result came %d times", ended)
	}
}

func TestBothFamiliesAreServed(t *testing.T) {
	v4, v6 := emptyWorld(t, sim.Config{}), emptyWorld(t, sim.Config{IPv6: true})
	v6.Clock, v6.Net = v4.Clock, v4.Net
	v4.grow(20)
	v6.grow(20)
	both := joinBoth(t, v4, v6)

	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	v4.mustPut(v4.at(0), v1, PutOptions{})
	v6.mustPut(v6.at(0), v2, PutOptions{})
	if res := v4.wantFound(both, v2); len(res.Lookups) != 2 {
		t.Errorf("%d lookups", len(res.Lookups))
	}
	v4.Clock.Run(10 * time.Second)
	v4.wantFound(v4.at(5), v2) // It was updated across the families.

	v3 := mutable(t, "", 3, "2:v3")
	v4.mustPut(both, v3, PutOptions{})
	v4.wantFound(v4.at(5), v3)
	v6.wantFound(v6.at(5), v3)
	if _, err := v4.put(both, v2, PutOptions{}); err != ErrOutdated {
		t.Errorf("an older version: %v", err)
	}
}

// joinBoth returns the items of a program that has a node in both worlds.
func joinBoth(t *testing.T, worlds ...*world) *Items {
	t.Helper()
	var nodes []*kademlia.Node
	for i, w := range worlds {
		addr := []netip.AddrPort{simnet.Addr(5000), simnet.Addr6(5000)}[i]
		host := w.Net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			nodes[i].Deliver(now, from, b, out)
		})
		n, err := kademlia.NewNode(kademlia.NodeConfig{
			Transport: host, Clock: w.Clock, Rand: rand.New(rand.NewPCG(5, uint64(i))), Siblings: slices.Clone(nodes),
			Bootstrap: func(done func([]netip.AddrPort, error)) {
				w.Clock.AfterFunc(0, func() { done([]netip.AddrPort{w.RandomHost().Addr}, nil) })
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	s := New(nodes, Config{Rand: rand.New(rand.NewPCG(6, 7))})
	for _, n := range nodes {
		n.Start()
	}
	worlds[0].Clock.Run(time.Minute)
	return s
}

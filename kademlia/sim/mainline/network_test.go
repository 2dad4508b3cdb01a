package mainline

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

// What nodes list is as dead, and as often out of date, as the network should be.
func TestListedContacts(t *testing.T) {
	for _, cfg := range []Config{Measured(5000, *seed), Hostile(5000, *seed)} {
		n := New(cfg)
		rng := rand.New(rand.NewPCG(*seed, 0))
		listed := make(map[kind]float64)
		total := 0.
		for range 2000 {
			for _, y := range n.closest(nil, rng.IntN(len(n.nodes)), krpc.RandomID(rng)) {
				listed[n.nodes[y].kind]++
				total++
			}
		}
		between(t, "dead", listed[dead]/total, cfg.Dead-.03, cfg.Dead+.03)
		between(t, "stale", listed[stale]/total, cfg.Stale-.01, cfg.Stale+.01)
		live := total - listed[dead] - listed[stale]
		between(t, "bad", (live-listed[willing])/live, .02, .04)
	}
}

// A node's lists are the closest of its buckets, which hold up to 8 of those it
// knows and all of them in its neighbourhood.
func TestClosestComeFromTheBuckets(t *testing.T) {
	n := New(Measured(3000, *seed))
	rng := rand.New(rand.NewPCG(*seed, 0))
	for range 100 {
		x, target := rng.IntN(len(n.nodes)), krpc.RandomID(rng)
		if rng.IntN(2) == 0 {
			copy(target[:2], n.nodes[x].id[:2]) // a neighbour
		}
		var want []int
		for depth := range 64 {
			before := len(want)
			want = n.bucket(want, x, depth)
			s := n.spanOf(n.prefix[x]^1<<(63-depth), depth+1)
			known := 0
			for y := s.lo; y < s.hi; y++ {
				if n.knows(x, y) {
					known++
				}
			}
			if got := len(want) - before; got != min(known, k) {
				t.Fatalf("bucket %d of node %d has %d contacts, want %d", depth, x, got, min(known, k))
			}
		}
		slices.SortFunc(want, func(a, b int) int { return krpc.CompareDistance(n.nodes[a].id, n.nodes[b].id, target) })
		if got := n.closest(nil, x, target); !slices.Equal(got, want[:k]) {
			t.Fatalf("node %d lists %v, want %v", x, got, want[:k])
		}
	}
}

func TestClosestNodesThatLive(t *testing.T) {
	n := New(Measured(2000, *seed))
	rng := rand.New(rand.NewPCG(*seed, 0))
	for range 50 {
		target := krpc.RandomID(rng)
		var all []krpc.NodeInfo
		for _, x := range n.nodes {
			if x.kind == willing {
				all = append(all, krpc.NodeInfo{ID: x.id, Addr: x.addr})
			}
		}
		slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
		if got := n.Closest(target); !slices.Equal(got, all[:k]) {
			t.Fatalf("the closest to %v are %v, want %v", target, got, all[:k])
		}
	}
}

// Round-trip times are as measured, and some nodes are slow with everybody.
func TestRoundTripTimes(t *testing.T) {
	n := New(Measured(5000, *seed))
	w := n.world(Policy{})
	var times []time.Duration
	slow, us := 0, n.stranger(0)
	for _, x := range n.nodes {
		if x.kind > numLive {
			continue
		}
		rtt := w.delay(us, x.addr, w.rng) + w.delay(x.addr, us, w.rng)
		if x.slow > 0 {
			slow++
			between(t, "a slow node", rtt, 950*time.Millisecond, 6600*time.Millisecond)
			continue
		}
		times = append(times, rtt)
	}
	between(t, "median", quantile(times, .5), 85*time.Millisecond, 100*time.Millisecond)
	between(t, "p95", quantile(times, .95), 320*time.Millisecond, 390*time.Millisecond)
	between(t, "slow nodes", float64(slow)/float64(len(n.at)), .014, .026)
}

// questioner asks the nodes of a world and keeps the last reply.
type questioner struct {
	w     *world
	host  *simnet.Host
	reply *krpc.Message
}

func newQuestioner() *questioner {
	q := &questioner{w: New(Measured(2000, *seed)).world(Policy{Lossless: true})}
	q.host = q.w.net.Host(q.w.stranger(0), func(_ time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) {
		var m krpc.Message
		if m.Decode(b) == nil {
			q.reply = m.Clone()
		}
	})
	return q
}

func (q *questioner) ask(t *testing.T, to netip.AddrPort, m krpc.Message) *krpc.Message {
	t.Helper()
	m.Kind, m.TID, m.HasID = krpc.KindQuery, []byte("t"), true
	q.reply = nil
	if err := q.host.Send(to, m.Append(nil)); err != nil {
		t.Fatal(err)
	}
	q.w.clock.Run(10 * time.Second)
	return q.reply
}

// first returns the first node of a kind.
func (q *questioner) first(of kind) node {
	return q.w.nodes[slices.IndexFunc(q.w.nodes, func(x node) bool { return x.kind == of })]
}

func TestNodesAnswer(t *testing.T) {
	q := newQuestioner()
	ih := krpc.RandomID(q.w.targets)
	ping := krpc.Message{Method: krpc.MethodPing}
	find := krpc.Message{Method: krpc.MethodFindNode, HasTarget: true, Target: ih}
	get := krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih}

	if x := q.first(willing); q.ask(t, x.addr, ping).ID != x.id || len(q.ask(t, x.addr, find).Nodes) != k*krpc.Node4Len {
		t.Error("a willing node does not answer as it should")
	}
	if x := q.first(misnamed); q.ask(t, x.addr, ping).ID == x.id {
		t.Error("a misnamed node has its own id")
	}
	if r := q.ask(t, q.first(refusing).addr, find); r.ErrorCode != krpc.CodeServer {
		t.Errorf("a refusing node says %+v", r)
	}
	if x := q.first(pingsOnly); q.ask(t, x.addr, ping) == nil || q.ask(t, x.addr, get) != nil {
		t.Error("a node that answers pings only does something else")
	}
	if q.ask(t, q.first(dead).addr, ping) != nil {
		t.Error("a dead node answers")
	}

	holders := 0
	for _, c := range q.w.Closest(ih) {
		r := q.ask(t, c.Addr, get)
		if r.Values != nil {
			holders++
		}
		announce := krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 1, Token: r.Token}
		q.ask(t, c.Addr, announce)
		announce.Token = []byte("another")
		if r := q.ask(t, c.Addr, announce); r.ErrorCode != krpc.CodeProtocol {
			t.Errorf("a bad token is answered with %+v", r)
		}
	}
	if holders < 3 || q.w.announces != k {
		t.Errorf("%d of the 8 closest name peers, and %d have accepted an announce, want most and all", holders, q.w.announces)
	}
}

// The network takes the announces of the real node.
func TestAnnounce(t *testing.T) {
	w := New(Measured(2000, *seed)).world(Policy{})
	at := w.settle(KadNode("kadnode", nil))
	at.join()
	res := tracker.AnnounceResult{}
	done := false
	_, err := at.subject.(*kadNode).tracker.AnnouncePeer(krpc.RandomID(w.targets), tracker.AnnounceOptions{Port: 1}, nil,
		func(r tracker.AnnounceResult) { res, done = r, true })
	if err != nil {
		t.Fatal(err)
	}
	w.clock.RunUntil(func() bool { return done }, patience)
	if res.Stored < k-1 || w.announces < res.Stored {
		t.Errorf("%d nodes have stored the peer, %d have accepted it", res.Stored, w.announces)
	}
}

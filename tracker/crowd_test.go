package tracker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// sybil is an attacker around a key. It names the others, has no peers, gives a token to
// everybody, and stores nothing.
type sybil struct {
	krpc.NodeInfo
	host *simnet.Host
}

// crowd is attackers around a key, each in a /24 of its own.
type crowd struct {
	w      *world
	key    krpc.ID
	sybils []sybil
}

// sybilAddr returns the address of the i-th attacker of the n-th crowd.
func sybilAddr(n, i int) netip.AddrPort { return simnet.Addr(100_000*(n+1) + i) }

// surround places the nth crowd, of n attackers whose ids share bits with key, or more, and has them make
// themselves known to everybody again and again.
func (w *world) surround(key krpc.ID, nth, n, bits int) *crowd {
	c := &crowd{w: w, key: key}
	for i := range n {
		id := w.randomHash()
		for b := range bits {
			mask := byte(0x80) >> (b % 8)
			id[b/8] = id[b/8]&^mask | key[b/8]&mask
		}
		c.sybils = append(c.sybils, sybil{NodeInfo: krpc.NodeInfo{ID: id, Addr: sybilAddr(nth, i)}})
	}
	slices.SortFunc(c.sybils, func(a, b sybil) int { return krpc.CompareDistance(a.ID, b.ID, key) })
	for i := range c.sybils {
		s := &c.sybils[i]
		s.host = w.net.Host(s.Addr, func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) { c.serve(s, from, b, out) })
	}
	return c
}

func (c *crowd) serve(s *sybil, from netip.AddrPort, b []byte, out krpc.Outbox) {
	var q krpc.Message
	if q.Decode(b) != nil || q.Kind != krpc.KindQuery {
		return
	}
	r := krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: s.ID, Token: []byte("sure")}
	if q.HasTarget || q.HasInfoHash {
		for i := range 8 { // half of them the closest, half any
			n := &c.sybils[i]
			if i >= 4 {
				n = &c.sybils[c.w.rng.IntN(len(c.sybils))]
			}
			r.Nodes = krpc.AppendNode(r.Nodes, n.NodeInfo)
		}
	}
	out.Push(from, r.Append(out.Buffer()))
}

// advertise has every attacker ask the members closest to the key, and some others.
func (c *crowd) advertise(rounds int) {
	near := slices.Clone(c.w.members)
	slices.SortFunc(near, func(a, b *member) int { return krpc.CompareDistance(a.node.ID(), b.node.ID(), c.key) })
	for range rounds {
		for i := range c.sybils {
			s := &c.sybils[i]
			for _, m := range append([]*member{c.w.any(), c.w.any(), c.w.any()}, near[c.w.rng.IntN(30)], near[c.w.rng.IntN(200)]) {
				q := krpc.Message{Kind: krpc.KindQuery, Method: krpc.MethodFindNode, TID: []byte("a"), HasID: true, ID: s.ID, HasTarget: true, Target: c.key}
				if err := s.host.Send(m.addr, q.Append(nil)); err != nil {
					c.w.t.Fatal(err)
				}
			}
			c.w.clock.Run(10 * time.Millisecond)
		}
		c.w.clock.Run(5 * time.Minute)
	}
}

// owned returns how many of the k closest nodes that m's lookup of the key ends at are attackers.
func (c *crowd) owned(res PeersResult) (n int) {
	for _, o := range res.Lookups[0].Closest {
		if slices.ContainsFunc(c.sybils, func(s sybil) bool { return s.NodeInfo == o.NodeInfo }) {
			n++
		}
	}
	return n
}

// Attackers own all of the nodes closest to a key. What is announced is found all the same.
func TestPeersAreFoundPastACrowd(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("so many nodes take too long")
	}
	const nodes, attackers, announcers, finders = 2000, 1000, 5, 60
	w := newWorld(t, nodes, Config{})
	w.clock.Run(20 * time.Minute)
	for nth, bits := range []int{20, 9, 7} {
		t.Run(fmt.Sprintf("sharing %d bits", bits), func(t *testing.T) {
			key := w.randomHash()
			c := w.surround(key, nth, attackers, bits)
			c.advertise(2)
			var want []netip.AddrPort
			for range announcers {
				m := w.any()
				res := w.announce(m, key, AnnounceOptions{Port: 6881})
				if res.Stored < 20 || !res.Lookups[0].Alarm {
					t.Errorf("stored at %d of %d, alarm %v", res.Stored, res.Asked, res.Lookups[0].Alarm)
				}
				want = append(want, m.at(6881))
			}
			found, all, alarms, owned, queries := 0, 0, 0, 0, 0
			for range finders {
				peers, res := w.find(w.any(), key)
				l := res.Lookups[0]
				queries += l.Queries
				owned += c.owned(res)
				if l.Alarm {
					alarms++
				}
				if len(peers) > 0 {
					found++
				}
				if len(peers) == len(want) {
					all++
				}
			}
			t.Logf("%d honest nodes hold it; %d of %d lookups found peers, %d all of them; %d alarms, %.1f of the closest are attackers, %.1f queries",
				len(w.holders(key)), found, finders, all, alarms, float64(owned)/finders, float64(queries)/finders)
			if found < finders*95/100 || alarms < finders*95/100 {
				t.Error("too few")
			}
		})
	}
}

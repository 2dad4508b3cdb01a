package attack

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// Tactic turns r, the reply of a node that knows nobody but its own party and stores
// nothing, into what the attacker answers to the query q of from. It reports false for no
// answer at all.
type Tactic func(p *Party, h *Host, from netip.AddrPort, q, r *krpc.Message) bool

// Party is the hosts of one attacker. They know all of each other and of the world.
type Party struct {
	Hosts  []*Host
	Tactic Tactic
	// Heard counts the queries that came, and Replied has who has answered one of the party's.
	Heard   int
	Replied map[netip.AddrPort]bool

	field *Field
	rng   *rand.Rand
	at    map[netip.AddrPort]*Host
	nodes []krpc.NodeInfo // of Hosts
}

// Host is one id of an attacker at an address.
type Host struct {
	krpc.NodeInfo
	Net *simnet.Host

	shifted map[krpc.ID]bool // targets beside which it was named
}

// NewParty returns a party without hosts. Hosts are passive: they answer who asks, and nobody asks
// whom he does not know. So an attack begins with Court, unless the test itself tells somebody
// of the party: one who joins through it, or is asked by Ask.
func (f *Field) NewParty(tactic Tactic) *Party {
	return &Party{Tactic: tactic, field: f, rng: f.rand(), at: make(map[netip.AddrPort]*Host), Replied: make(map[netip.AddrPort]bool)}
}

// Has tells whether the party is at addr.
func (p *Party) Has(addr netip.AddrPort) bool { return p.at[addr] != nil }

// Add adds a host with that id.
func (p *Party) Add(id krpc.ID, addr netip.AddrPort) *Host {
	h := &Host{NodeInfo: krpc.NodeInfo{ID: id, Addr: addr}, shifted: make(map[krpc.ID]bool)}
	h.Net = p.field.Net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		p.deliver(h, from, b, out)
	})
	p.Hosts, p.nodes, p.at[addr] = append(p.Hosts, h), append(p.nodes, h.NodeInfo), h
	return h
}

// deliver answers a query, and takes note of a reply.
func (p *Party) deliver(h *Host, from netip.AddrPort, b []byte, out krpc.Outbox) {
	var q krpc.Message
	if q.Decode(b) != nil {
		return
	}
	if q.Kind != krpc.KindQuery {
		p.Replied[from] = true
		return
	}
	p.Heard++
	r := krpc.Message{Kind: krpc.KindReply, TID: q.TID, IP: from, HasID: true, ID: h.ID}
	if target, ok := targetOf(&q); ok {
		name(&r, p.Closest(target, kademlia.DefaultK)...)
		r.Token = []byte("of the void")
	}
	if p.Tactic(p, h, from, &q, &r) {
		out.Push(from, r.Append(out.Buffer()))
	}
}

// targetOf returns what a query looks for.
func targetOf(q *krpc.Message) (target krpc.ID, ok bool) {
	switch {
	case q.HasTarget:
		return q.Target, true
	case q.HasInfoHash && q.Method == krpc.MethodGetPeers:
		return q.InfoHash, true
	}
	return krpc.ID{}, false
}

// name adds nodes to those that r names.
func name(r *krpc.Message, nodes ...krpc.NodeInfo) {
	for _, n := range nodes {
		list := &r.Nodes
		if n.Addr.Addr().Is6() {
			list = &r.Nodes6
		}
		*list = krpc.AppendNode(*list, n)
	}
}

// Closest returns the hosts of the party closest to target, closest first.
func (p *Party) Closest(target krpc.ID, k int) []krpc.NodeInfo { return closest(p.nodes, target, k) }

// closest returns the k of nodes that are closest to target, closest first.
func closest(nodes []krpc.NodeInfo, target krpc.ID, k int) []krpc.NodeInfo {
	best := make([]krpc.NodeInfo, 0, k+1)
	for _, n := range nodes {
		if len(best) == k && krpc.CompareDistance(n.ID, best[k-1].ID, target) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, n, func(a, b krpc.NodeInfo) int {
			return krpc.CompareDistance(a.ID, b.ID, target)
		})
		best = slices.Insert(best, at, n)
		best = best[:min(len(best), k)]
	}
	return best
}

// Court has every host of the party ask honest nodes once, so that these get to know it:
// the near ones closest to itself, and so many random ones. It runs the world for the interval,
// over which the hosts are spread. Who was asked pings a new neighbour at once and others two
// minutes later, some 64 at a time, so that parties that are to be known well court again and again.
func (p *Party) Court(near, random int, interval time.Duration) {
	for i, h := range p.Hosts {
		p.field.Clock.AfterFunc(interval*time.Duration(i)/time.Duration(len(p.Hosts)), func() {
			for _, n := range p.field.World.Closest(h.ID, near) {
				p.Ask(h, n.Addr)
			}
			for range random {
				p.Ask(h, p.field.RandomHost().Addr)
			}
		})
	}
	p.field.Clock.Run(interval)
}

// Ask sends a find_node for its own id from h.
func (p *Party) Ask(h *Host, to netip.AddrPort) {
	q := krpc.Message{
		Kind: krpc.KindQuery, Method: krpc.MethodFindNode, TID: []byte("evil"),
		HasID: true, ID: h.ID, HasTarget: true, Target: h.ID,
	}
	// What the simulated network refuses, a closed host's datagram, is lost.
	_ = h.Net.Send(to, q.Append(nil))
}

package attack

import (
	"encoding/binary"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// Collude is to answer as a node does, but to name only each other.
func Collude(*Party, *Host, netip.AddrPort, *krpc.Message, *krpc.Message) bool { return true }

// Shift is to be close to whatever is looked for: every host names the others by ids that it
// makes up next to the target, and answers with such an id itself.
func Shift(p *Party, h *Host, _ netip.AddrPort, q, r *krpc.Message) bool {
	target, ok := targetOf(q)
	if !ok {
		return true
	}
	r.Nodes = r.Nodes[:0]
	first := p.rng.IntN(len(p.Hosts))
	for i := range min(kademlia.DefaultK, len(p.Hosts)) {
		o := p.Hosts[(first+i)%len(p.Hosts)]
		name(r, krpc.NodeInfo{ID: beside(target, o.Addr), Addr: o.Addr})
	}
	if h.shifted[target] {
		r.ID = beside(target, h.Addr)
	}
	for _, o := range p.Hosts {
		o.shifted[target] = true
	}
	return true
}

// beside returns the id next to target that the host at addr goes by.
func beside(target krpc.ID, addr netip.AddrPort) krpc.ID {
	ip := addr.Addr().As4()
	copy(target[12:], ip[:])
	binary.BigEndian.PutUint16(target[16:], addr.Port())
	return target
}

// Bury returns the tactic to name nodes that do not exist next to whatever is looked for, as many
// as a reply is believed to hold, and others in each.
func Bury() Tactic {
	buried := 0
	return func(_ *Party, _ *Host, _ netip.AddrPort, q, r *krpc.Message) bool {
		if target, ok := targetOf(q); ok {
			r.Nodes = r.Nodes[:0]
			for range kademlia.MaxK {
				at := netip.AddrPortFrom(simnet.Addr(nowhere+buried).Addr(), sybilPort)
				name(r, krpc.NodeInfo{ID: beside(target, at), Addr: at})
				buried++
			}
		}
		return true
	}
}

// BuryBound is Bury by ids that BEP 42 allows at the addresses named: of so many that are drawn
// beforehand, those closest to what is looked for.
func BuryBound(p *Party) {
	const drawn, near = 4096, 3 * kademlia.MaxK
	pool := make([]krpc.NodeInfo, drawn)
	for i := range pool {
		addr := netip.AddrPortFrom(simnet.Addr(nowhere+i).Addr(), sybilPort)
		pool[i] = krpc.NodeInfo{ID: kademlia.SecureID(addr.Addr(), p.rng), Addr: addr}
	}
	p.Tactic = func(_ *Party, _ *Host, _ netip.AddrPort, q, r *krpc.Message) bool {
		if target, ok := targetOf(q); ok {
			r.Nodes = r.Nodes[:0]
			closest := closest(pool, target, near)
			p.rng.Shuffle(len(closest), func(i, j int) { closest[i], closest[j] = closest[j], closest[i] })
			name(r, closest[:kademlia.MaxK]...)
		}
		return true
	}
}

// nowhere is where the addresses begin at which there is nobody.
const nowhere = 9_000_000

// Mirror is to answer everybody with his own id.
func Mirror(_ *Party, _ *Host, _ netip.AddrPort, q, r *krpc.Message) bool {
	r.ID = q.ID
	return true
}

// Mislead returns the tactic to tell everybody that he is seen at lie (BEP 42).
func Mislead(lie netip.Addr) Tactic {
	return func(_ *Party, _ *Host, from netip.AddrPort, _, r *krpc.Message) bool {
		r.IP = netip.AddrPortFrom(lie, from.Port())
		return true
	}
}

// Accuse returns the tactic to name victim next to whatever is looked for, by other ids and
// ports each time, so that all the world asks it.
func Accuse(victim netip.Addr) Tactic {
	return func(p *Party, _ *Host, _ netip.AddrPort, q, r *krpc.Message) bool {
		if target, ok := targetOf(q); ok {
			r.Nodes = r.Nodes[:0]
			for range kademlia.DefaultK {
				at := netip.AddrPortFrom(victim, uint16(1+p.rng.IntN(65535)))
				name(r, krpc.NodeInfo{ID: beside(target, at), Addr: at})
			}
		}
		return true
	}
}

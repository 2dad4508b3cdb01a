package attack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// sybilPort is where the hosts of attackers listen, from there on if several share an
// address.
const sybilPort = 7000

// elsewhere is where the addresses of attackers begin: no world is so large.
const elsewhere = 5_000_000

// Networks returns the i-th of a sequence of addresses that are all in /24 networks of
// their own, and in none of the world's.
func Networks(i int) netip.AddrPort {
	return netip.AddrPortFrom(simnet.Addr(elsewhere+i).Addr(), sybilPort)
}

// Cramped returns the i-th of a sequence of addresses and ports that share so many
// addresses in so many /24 networks.
func Cramped(addresses, networks int) func(i int) netip.AddrPort {
	return func(i int) netip.AddrPort {
		at := i % addresses
		ip := simnet.Addr(elsewhere + at%networks).Addr().As4()
		ip[3] = byte(1 + at/networks)
		return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(sybilPort+i/addresses))
	}
}

// Site returns the i-th of a sequence of addresses that are all in one /48 of IPv6, each in a /64
// of its own.
func Site(i int) netip.AddrPort {
	ip := simnet.Addr6(elsewhere).Addr().As16()
	binary.BigEndian.PutUint16(ip[6:], uint16(i))
	return netip.AddrPortFrom(netip.AddrFrom16(ip), sybilPort)
}

// Near draws an id that shares exactly so many leading bits with target.
func Near(target krpc.ID, bits int, rng *rand.Rand) krpc.ID {
	id := krpc.RandomID(rng)
	for i := range bits + 1 {
		mask := byte(0x80) >> (i % 8)
		want := target[i/8]
		if i == bits {
			want = ^want
		}
		id[i/8] = id[i/8]&^mask | want&mask
	}
	return id
}

// Spread adds n hosts with random ids at the addresses that at returns. Nobody knows of them
// before Court.
func (p *Party) Spread(n int, at func(i int) netip.AddrPort) *Party {
	for i := range n {
		p.Add(krpc.RandomID(p.rng), at(i))
	}
	return p
}

// crowdBits is how many bits the ids of a crowd share with their target at least: more than
// those of the honest nodes of any world that is simulated.
const crowdBits = 18

// Crowd adds n hosts with ids next to target, at the addresses that at returns. Nobody knows of
// them before Court.
func (p *Party) Crowd(target krpc.ID, n int, at func(i int) netip.AddrPort) *Party {
	for i := range n {
		p.Add(Near(target, crowdBits+i%64, p.rng), at(i))
	}
	return p
}

// CrowdBound is Crowd as far as BEP 42 allows it: each host has the id closest to target of those
// that it may have.
func (p *Party) CrowdBound(target krpc.ID, n int, at func(i int) netip.AddrPort) *Party {
	const draws = 40 // of eight beginnings: all of them, most likely
	for i := range n {
		addr := at(i)
		best := kademlia.SecureID(addr.Addr(), p.rng)
		for range draws {
			if id := kademlia.SecureID(addr.Addr(), p.rng); krpc.CompareDistance(id, best, target) < 0 {
				best = id
			}
		}
		p.Add(best, addr)
	}
	return p
}

// SpreadBound is Spread with ids that BEP 42 allows.
func (p *Party) SpreadBound(n int, at func(i int) netip.AddrPort) *Party {
	for i := range n {
		addr := at(i)
		p.Add(kademlia.SecureID(addr.Addr(), p.rng), addr)
	}
	return p
}

package store

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// strangerShare is what an item of a stranger counts; one that a neighbour hands on
// counts 1.
const strangerShare = 16

// payer is who had an item stored first, and what that counts. The zero payer is nobody.
type payer struct {
	addr  netip.Addr
	share int32
}

// charges counts the items held, in shares, by who had them stored first: by address, and
// by /24 or /64. It has no more than two counts an item.
type charges map[netip.Prefix]int

// prefixes returns what is counted for an item of the address a.
func prefixes(a netip.Addr) (ip, subnet netip.Prefix) {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	ip, _ = a.Prefix(a.BitLen())
	subnet, _ = a.Prefix(bits)
	return ip, subnet
}

// refuse returns why p gets no more items, or nil.
func (c charges) refuse(p payer, l *limits) *krpc.Error {
	if p.share == 0 {
		return nil
	}
	ip, subnet := prefixes(p.addr)
	switch {
	case c[ip]+int(p.share) > l.perIP*strangerShare:
		return errIPFull
	case c[subnet]+int(p.share) > l.perSubnet*strangerShare:
		return errSubnetFull
	}
	return nil
}

// exceeded tells whether p has more items than it would get.
func (c charges) exceeded(p payer, l *limits) bool {
	ip, subnet := prefixes(p.addr)
	return p.share > 0 && (c[ip] > l.perIP*strangerShare || c[subnet] > l.perSubnet*strangerShare)
}

// add charges p for n items more, or -n less.
func (c charges) add(p payer, n int) {
	if p.share == 0 {
		return
	}
	ip, subnet := prefixes(p.addr)
	for _, prefix := range [...]netip.Prefix{ip, subnet} {
		if c[prefix] += n * int(p.share); c[prefix] == 0 {
			delete(c, prefix)
		}
	}
}

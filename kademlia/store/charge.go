package store

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// charges counts the items held by who had them stored first: by address, and by /24
// or /64. It has no more than two counts an item.
type charges map[netip.Prefix]int

// payers returns what is counted for an item of the address a.
func payers(a netip.Addr) (ip, subnet netip.Prefix) {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	ip, _ = a.Prefix(a.BitLen())
	subnet, _ = a.Prefix(bits)
	return ip, subnet
}

// refuse returns why a gets no more items, or nil. The zero Addr has no bounds.
func (c charges) refuse(a netip.Addr, l *limits) *krpc.Error {
	if !a.IsValid() {
		return nil
	}
	ip, subnet := payers(a)
	switch {
	case c[ip] >= l.perIP:
		return errIPFull
	case c[subnet] >= l.perSubnet:
		return errSubnetFull
	}
	return nil
}

// add charges n items more, or -n less, to a.
func (c charges) add(a netip.Addr, n int) {
	if !a.IsValid() {
		return
	}
	ip, subnet := payers(a)
	for _, p := range [...]netip.Prefix{ip, subnet} {
		if c[p] += n; c[p] == 0 {
			delete(c, p)
		}
	}
}

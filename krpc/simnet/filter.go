package simnet

import "net/netip"

// Filter lets through only the datagrams that passes allows from one public address to
// another; the others vanish, also those that are on their way. It is asked for each
// direction, so that A may reach B while B does not reach A. It replaces an earlier filter
// and works beside Partition; nil lets everything through. passes must be a function of the
// addresses alone.
func (n *Network) Filter(passes func(from, to netip.AddrPort) bool) { n.passes = passes }

// OneWay is a filter that stops a share, 0 to 1, of the ways between hosts: of two hosts each
// way is cut on its own, chosen by their IP addresses and seed, for good. It takes no memory,
// whatever the number of hosts.
func OneWay(share float64, seed uint64) func(from, to netip.AddrPort) bool {
	return func(from, to netip.AddrPort) bool {
		h := finish(mix(addrHash(from.Addr(), seed), addrHash(to.Addr(), seed)))
		return float64(h>>11) >= share*(1<<53)
	}
}

// stops tells whether the filter does.
func (n *Network) stops(from, to netip.AddrPort) bool {
	return n.passes != nil && !n.passes(from, to)
}

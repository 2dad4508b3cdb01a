package simnet

import "net/netip"

// Partition cuts the network into groups: a datagram whose two public addresses
// groupOf puts into different groups vanishes, also one that is on its way.
// It replaces an earlier partition. groupOf must be a function of the address
// alone.
func (n *Network) Partition(groupOf func(netip.AddrPort) int) { n.groupOf = groupOf }

// Heal ends the partition. What was sent across it stays lost.
func (n *Network) Heal() { n.groupOf = nil }

func (n *Network) parted(a, b netip.AddrPort) bool {
	return n.groupOf != nil && n.groupOf(a) != n.groupOf(b)
}

package mainline

// topic keeps apart what is drawn about the same nodes.
type topic uint64

const (
	drawKnown topic = iota
	drawContact
	drawRank
	drawHolds
	drawPeer
	drawToken
	drawOtherID
)

// draw returns a number that looks random and is the same for the same arguments:
// what holds of a node, or a pair of nodes, for ever need not be remembered.
func (n *Network) draw(t topic, a, b uint64) uint64 {
	return scramble(scramble(scramble(n.cfg.Seed<<8|uint64(t))^a) ^ b)
}

// chance is true with probability p, always for the same arguments.
func (n *Network) chance(p float64, t topic, a, b uint64) bool {
	return float64(n.draw(t, a, b)>>11) < p*(1<<53)
}

// scramble is a step of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

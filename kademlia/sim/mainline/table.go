package mainline

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// sampled is the size of a span beyond which the contacts in it are drawn rather
// than chosen from all.
const sampled = 64

// knows tells whether node x has come to know node y.
func (n *Network) knows(x, y int) bool {
	p := n.cfg.KnowLive
	if n.nodes[y].kind > numLive {
		p = n.cfg.KnowDead
	}
	return n.chance(p, drawKnown, uint64(x), uint64(y))
}

// bucket appends to dst the contacts of node x that share exactly depth bits with
// it: all that it knows, or k of them.
func (n *Network) bucket(dst []int, x, depth int) []int {
	s := n.spanOf(n.prefix[x]^1<<(63-depth), depth+1)
	if s.hi-s.lo > sampled {
		return n.drawBucket(dst, s, x, depth)
	}
	begin := len(dst)
	for y := s.lo; y < s.hi; y++ {
		if n.knows(x, y) {
			dst = append(dst, y)
		}
	}
	if own := dst[begin:]; len(own) > k {
		slices.SortFunc(own, func(a, b int) int {
			return cmp.Compare(n.draw(drawRank, uint64(x), uint64(a)), n.draw(drawRank, uint64(x), uint64(b)))
		})
		dst = dst[:begin+k]
	}
	return dst
}

// drawBucket is bucket for a span that has far more than k nodes.
func (n *Network) drawBucket(dst []int, s span, x, depth int) []int {
	begin := len(dst)
	for try := uint64(0); len(dst) < begin+k; try++ {
		r := n.draw(drawContact, uint64(x), uint64(depth)<<32|try)
		offset, _ := bits.Mul64(r, uint64(s.hi-s.lo))
		y := s.lo + int(offset)
		if n.knows(x, y) && !slices.Contains(dst[begin:], y) {
			dst = append(dst, y)
		}
	}
	return dst
}

// closest appends to dst the k contacts of node x closest to target, closest first.
//
// In the order of distance come the bucket that target would be in, all deeper
// ones, and then the shallower ones from the deepest up.
func (n *Network) closest(dst []int, x int, target krpc.ID) []int {
	depth := min(bits.LeadingZeros64(n.prefix[x]^prefixOf(target)), 63)
	dst = n.bucket(dst, x, depth)
	for d := depth + 1; len(dst) < k && d < 64; d++ {
		if s := n.spanOf(n.prefix[x], d); s.hi-s.lo == 1 {
			break // itself
		}
		dst = n.bucket(dst, x, d)
	}
	for d := depth - 1; len(dst) < k && d >= 0; d-- {
		dst = n.bucket(dst, x, d)
	}
	slices.SortFunc(dst, func(a, b int) int {
		return krpc.CompareDistance(n.nodes[a].id, n.nodes[b].id, target)
	})
	return dst[:min(len(dst), k)]
}

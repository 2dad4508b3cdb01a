package kademlia

import (
	"encoding/binary"

	"github.com/kadnode/kadnode/krpc"
)

// view is what queries are answered from: the table at one moment, immutable and
// shared by all goroutines.
type view struct {
	self    krpc.ID
	buckets [][]contact
	room    []bool // of each bucket: a new contact may enter
}

func (t *table) view() *view {
	v := &view{self: t.self, buckets: make([][]contact, len(t.buckets)), room: make([]bool, len(t.buckets))}
	for i := range t.buckets {
		v.buckets[i] = t.buckets[i].live
		v.room[i] = len(t.buckets[i].live) < t.capacity(i)
	}
	t.dirty = false
	return v
}

// near is a contact with the first 64 bits of its distance.
type near struct {
	dist uint64
	c    *contact
}

// selection collects the closest contacts to a target, closest first.
type selection struct {
	target krpc.ID
	prefix uint64
	n, max int
	best   [MaxK]near
}

func (s *selection) add(list []contact) {
	for i := range list {
		c := &list[i]
		d := binary.BigEndian.Uint64(c.id[:8]) ^ s.prefix
		if s.n == s.max && d > s.best[s.n-1].dist || !c.answers() {
			continue
		}
		j := s.n
		if s.n < s.max {
			s.n++
		} else if j--; !s.closer(d, c, s.best[j]) {
			continue
		}
		for ; j > 0 && s.closer(d, c, s.best[j-1]); j-- {
			s.best[j] = s.best[j-1]
		}
		s.best[j] = near{d, c}
	}
}

func (s *selection) closer(d uint64, c *contact, than near) bool {
	if d != than.dist {
		return d < than.dist
	}
	return krpc.CompareDistance(c.id, than.c.id, s.target) < 0
}

// closest fills s with the up to n contacts closest to target that answer.
//
// In the order of distance come the bucket that target would be in, all deeper
// ones, and then the shallower ones from the deepest up.
func (v *view) closest(s *selection, target krpc.ID, n int) {
	*s = selection{target: target, prefix: binary.BigEndian.Uint64(target[:8]), max: min(n, MaxK)}
	cpl := v.self.CommonPrefixLen(target)
	if cpl < len(v.buckets) {
		s.add(v.buckets[cpl])
		if s.n < s.max {
			for _, b := range v.buckets[cpl+1:] {
				s.add(b)
			}
		}
	}
	for i := min(cpl, len(v.buckets)) - 1; i >= 0 && s.n < s.max; i-- {
		s.add(v.buckets[i])
	}
}

// appendClosest appends the compact infos of the closest contacts to dst.
func (v *view) appendClosest(dst []byte, target krpc.ID, n int) []byte {
	var s selection
	v.closest(&s, target, n)
	for _, b := range s.best[:s.n] {
		dst = krpc.AppendNode(dst, b.c.info())
	}
	return dst
}

// infos returns the up to n contacts closest to target that answer.
func (v *view) infos(target krpc.ID, n int) []krpc.NodeInfo {
	var s selection
	v.closest(&s, target, n)
	out := make([]krpc.NodeInfo, s.n)
	for i, b := range s.best[:s.n] {
		out[i] = b.c.info()
	}
	return out
}

// interest tells whether a query from id can matter to the table: id is in it,
// or there is room for it.
func (v *view) interest(id krpc.ID) bool {
	i := v.self.CommonPrefixLen(id)
	if i >= len(v.buckets) || v.room[i] {
		return true
	}
	return indexID(v.buckets[i], id) >= 0
}

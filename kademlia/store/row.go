package store

import (
	"maps"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// row is the entries whose targets share a prefix of one length with the node's id,
// the least recently stored first. The shorter the prefix, the sooner they give way.
type row struct {
	first, last *entry
	bytes       int // charged for them
}

func (r *row) push(e *entry) {
	e.prev, e.next = r.last, nil
	if r.last == nil {
		r.first = e
	} else {
		r.last.next = e
	}
	r.last = e
}

func (r *row) remove(e *entry) {
	if e.prev == nil {
		r.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		r.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// row returns the row that target belongs to.
func (s *memory) row(target krpc.ID) *row {
	i := s.self.CommonPrefixLen(target)
	for len(s.rows) <= i {
		s.rows = append(s.rows, row{})
	}
	return &s.rows[i]
}

// arrange puts all entries into the rows that they belong to when the node has the
// id self. It takes its time only when the external address has changed.
func (s *memory) arrange(self krpc.ID) {
	if s.self == self {
		return
	}
	s.self, s.rows = self, nil
	for _, e := range slices.SortedFunc(maps.Values(s.entries), func(a, b *entry) int {
		if c := a.received.Compare(b.received); c != 0 {
			return c
		}
		return a.target.Compare(b.target) // simulations repeat
	}) {
		r := s.row(e.target)
		r.push(e)
		r.bytes += cost(e.item)
	}
}

// room returns how many bytes there are for an item at target: those that are free,
// and those of items farther from the node. Items as far as it keep their places, so
// that a flood takes what is free and pushes out nothing that is as good.
func (s *memory) room(target krpc.ID) int {
	n := s.limits.bytes - s.bytes
	for i := range min(s.self.CommonPrefixLen(target), len(s.rows)) {
		n += s.rows[i].bytes
	}
	return n
}

// makeRoom evicts the farthest items until so many bytes fit, and returns them, joined by
// their next. room has said that they will.
func (s *memory) makeRoom(bytes int) (evicted *entry) {
	for s.bytes+bytes > s.limits.bytes {
		e := s.farthest()
		s.remove(e)
		s.evicted++
		e.next, evicted = evicted, e
	}
	return evicted
}

// farthest returns the entry that goes first, of a shelf that is not empty.
func (s *memory) farthest() *entry {
	i := slices.IndexFunc(s.rows, func(r row) bool { return r.first != nil })
	return s.rows[i].first
}

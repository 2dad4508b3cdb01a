package store

import (
	"math"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// An item that nobody has put for an hour or so is due for this node to put it: BEP 44
// asks for that, and Kademlia's nodes republish what they hold.
const (
	republishMin    = 30 * time.Minute
	republishSpread = time.Hour
)

// republishAfter returns when an item that was put now is due, between republishMin and
// republishSpread later. The k nodes that hold it have drawn each for itself, and who
// comes first spares the others the work. The first of k draws is to be anywhere in
// between with equal chance, or items that were put together would come again together:
// with a uniform u that is so for 1-u^k.
func (s *memory) republishAfter() time.Duration {
	u := float64(s.rng.Uint64()>>11) / (1 << 53)
	return republishMin + time.Duration(float64(republishSpread)*(1-math.Pow(u, float64(s.limits.k))))
}

func (s *memory) takeDue(now time.Time) (target krpc.ID, next time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dues) > 0 {
		e := s.dues[0].Of
		switch {
		case e.expired(now):
			s.expire(e)
		case e.due.At.After(now):
			return target, e.due.At, false
		default:
			s.dues.Move(&e.due, now.Add(s.republishAfter()))
			return e.target, next, true
		}
	}
	return target, next, false
}

func (s *memory) putOff(target krpc.ID, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[target]; e != nil {
		s.dues.Move(&e.due, until)
	}
}

func (s *memory) empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries) == 0
}

func (s *memory) within(prefix int) (targets []krpc.ID) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.rows[min(prefix, len(s.rows)):] {
		for e := r.first; e != nil; e = e.next {
			targets = append(targets, e.target)
		}
	}
	return targets
}

package store

import "time"

// The rhythm of expiry. What has expired is never handed out, so it is only about
// memory, and packets that wait for a shelf matter more.
const (
	sweepAlong = 4                      // items that a put removes
	sweepHold  = 64                     // items for which a lock is held
	sweepMost  = 1024                   // items a call
	sweepPause = 100 * time.Millisecond // between calls while there are more
	sweepRest  = time.Minute            // else, at least
)

// sweep returns when the next item expires. A memory that is empty is good for a Life:
// what comes with less to live waits for it, or for the next put.
func (s *memory) sweep(now time.Time) (next time.Time) {
	for range sweepMost / sweepHold {
		s.mu.Lock()
		next = s.forget(now, sweepHold)
		s.mu.Unlock()
		if next.After(now) {
			break
		}
	}
	return next
}

// forget removes up to most items that have expired, and returns when the first of
// the others does.
func (s *memory) forget(now time.Time, most int) (next time.Time) {
	for range most {
		if len(s.expiries) == 0 || s.expiries[0].At.After(now) {
			break
		}
		s.expire(s.expiries[0].Of)
	}
	if len(s.expiries) == 0 {
		return now.Add(Life)
	}
	return s.expiries[0].At
}

func (s *memory) expire(e *entry) {
	s.remove(e)
	s.expired++
}

// expire is the timer that gives back the memory of expired items.
func (s *Items) expire() {
	now := s.clock.Now()
	next := now.Add(Life)
	for i := range s.shelves {
		if first := s.shelves[i].sweep(now); first.Before(next) {
			next = first
		}
	}
	wait := max(sweepRest, next.Sub(now))
	if !next.After(now) {
		wait = sweepPause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.expiry.Reset(wait)
	}
}

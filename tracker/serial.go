package tracker

import "sync"

// serial makes calls one at a time and in order, on the goroutine of whoever
// comes first, so that what they share needs no lock and no lock is held while
// they run. The zero serial is ready.
type serial struct {
	mu    sync.Mutex
	calls []func() // to be made by the goroutine that has set busy
	busy  bool
}

// do makes the call f. It returns before f has run if another call is being
// made: on another goroutine, or on this one if do is called from it.
func (s *serial) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, f)
	if s.busy {
		return
	}
	s.busy = true
	for len(s.calls) > 0 {
		calls := s.calls
		s.calls = nil
		s.mu.Unlock()
		for _, f := range calls {
			f()
		}
		s.mu.Lock()
	}
	s.busy = false
}

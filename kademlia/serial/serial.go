// Package serial makes the callbacks of several nodes come one at a time.
package serial

import "sync"

// Calls makes calls one at a time and in order, on the goroutine of whoever comes
// first, so that what they share needs no lock and no lock is held while they run.
// The zero Calls is ready, and safe for concurrent use.
type Calls struct {
	mu    sync.Mutex
	calls []func() // to be made by the goroutine that has set busy
	busy  bool
}

// Do makes the call f. It returns before f has run if another call is being made:
// on another goroutine, or on this one if Do is called from it.
func (c *Calls) Do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, f)
	if c.busy {
		return
	}
	c.busy = true
	for len(c.calls) > 0 {
		calls := c.calls
		c.calls = nil
		c.mu.Unlock()
		for _, f := range calls {
			f()
		}
		c.mu.Lock()
	}
	c.busy = false
}

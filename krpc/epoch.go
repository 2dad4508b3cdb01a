package krpc

import (
	"sync/atomic"
	"time"
)

// epoch counts time from the first instant that it is asked about, so that a
// limit keeps time as one integer. Because the first instant keeps its
// monotonic reading, setting the system's clock neither blocks nor opens it.
// The zero epoch is ready; it is safe for concurrent use.
type epoch struct{ first atomic.Pointer[time.Time] }

// elapsed returns the time from the first instant to now, at least 0.
func (e *epoch) elapsed(now time.Time) time.Duration {
	first := e.first.Load()
	if first == nil {
		first = e.begin(now)
	}
	return max(0, now.Sub(*first))
}

// begin is apart from elapsed so that only the first instant escapes to the heap.
func (e *epoch) begin(now time.Time) *time.Time {
	e.first.CompareAndSwap(nil, &now)
	return e.first.Load()
}

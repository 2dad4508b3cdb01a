package simnet

import (
	"math"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Clock is a virtual clock. It stands still until it is run, and then jumps
// from one event to the next: it sets its time to that of the earliest event,
// runs it, and looks again, so that an event sees the time at which it happens
// and may schedule others. Events of the same instant run in the order in which
// they were scheduled.
//
// Not safe for concurrent use. An event may use everything but Step, Run and
// RunUntil, which panic when called from one.
type Clock struct {
	start   time.Time
	now     int64 // nanoseconds since start
	seq     uint64
	queue   queue
	running bool
}

var _ krpc.Clock = (*Clock)(nil)

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock {
	return &Clock{start: start.Round(0)} // Round strips the monotonic reading
}

// Now implements krpc.Clock.
func (c *Clock) Now() time.Time { return c.start.Add(time.Duration(c.now)) }

// AfterFunc implements krpc.Clock. f runs on the goroutine that runs the clock,
// never before AfterFunc returns, even if d is zero or negative.
func (c *Clock) AfterFunc(d time.Duration, f func()) krpc.Timer {
	t := &timer{clock: c, f: f, pos: idle}
	t.Reset(d)
	return t
}

// Pending returns the number of events that are waiting: timers and, if a
// Network uses the clock, packets in flight.
func (c *Clock) Pending() int { return len(c.queue) }

// Step runs the earliest event; it reports false if there was none.
func (c *Clock) Step() bool {
	c.enter()
	defer c.leave()
	return c.step(math.MaxInt64)
}

// Run runs the events of the next d, those at its very end included, and leaves
// the clock d later.
func (c *Clock) Run(d time.Duration) {
	c.enter()
	defer c.leave()
	end := c.after(d)
	for c.step(end) {
	}
	c.now = end
}

// RunUntil runs events until done reports true, which is asked at once and
// after each event, and then leaves the clock at that event. It gives up and
// reports false when d has passed.
func (c *Clock) RunUntil(done func() bool, d time.Duration) bool {
	c.enter()
	defer c.leave()
	end := c.after(d)
	for !done() {
		if !c.step(end) {
			c.now = end
			return done()
		}
	}
	return true
}

// step runs the earliest event if it is due at end or before.
func (c *Clock) step(end int64) bool {
	if len(c.queue) == 0 || c.queue[0].at > end {
		return false
	}
	first := c.queue[0]
	c.queue.remove(0)
	c.now = first.at
	first.t.f()
	return true
}

func (c *Clock) enter() {
	if c.running {
		panic("simnet: Clock: run from one of its own events")
	}
	c.running = true
}

func (c *Clock) leave() { c.running = false }

// after returns the time d from now, at most the end of time.
func (c *Clock) after(d time.Duration) int64 {
	if d <= 0 {
		return c.now
	}
	if int64(d) > math.MaxInt64-c.now {
		return math.MaxInt64
	}
	return c.now + int64(d)
}

// idle is the position of a timer that is not in the queue.
const idle = -1

// timer is an event. It implements krpc.Timer.
type timer struct {
	clock *Clock
	f     func()
	pos   int // in clock.queue, or idle
}

// Stop implements krpc.Timer. It takes the event out of the queue.
func (t *timer) Stop() bool {
	if t.pos == idle {
		return false
	}
	t.clock.queue.remove(t.pos)
	return true
}

// Reset implements krpc.Timer. Among events of the same instant the timer comes
// last, as if it were new.
func (t *timer) Reset(d time.Duration) bool {
	c := t.clock
	e := entry{at: c.after(d), seq: c.seq, t: t}
	c.seq++
	if t.pos == idle {
		c.queue.push(e)
		return false
	}
	c.queue.place(t.pos, e)
	return true
}

package simnet

import (
	"math"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// HostClock is the clock of one host: it runs fast or slow against the Clock of the world, and
// may jump. Its timers follow it, so that they and Now always agree. Give it to the protocol
// object of the host, and to the Host by SetClock.
//
// What of this can happen to a program? Oscillators drift, by some ten millionths: SetRate. A
// machine is suspended, or a virtual one is frozen and moved: both its wall clock and its
// monotonic clock have jumped ahead when it goes on, and all timers that were due meanwhile go
// off at once: Jump. Somebody sets the wall clock, forth or back: a running Go program does
// not notice, since time.Time carries a monotonic reading that differences and timers go by;
// only what it wrote down in an earlier run disagrees. So a HostClock never goes back. To
// have the wall clock set, end the protocol object and start another on a HostClock with
// another offset, with the state that the first one left.
//
// Like Clock it is not safe for concurrent use.
type HostClock struct {
	world *Clock
	local Clock   // holds the timers; its time is that of the host when last looked at
	rate  float64 // seconds of the host in one of the world
	wake  krpc.Timer

	// The rate holds from this moment on, by both clocks.
	worldBase, localBase int64
}

var _ krpc.Clock = (*HostClock)(nil)

// NewHostClock returns a clock that is ahead of world by offset, which may be negative, and
// runs at the same rate.
func NewHostClock(world *Clock, offset time.Duration) *HostClock {
	c := &HostClock{world: world, rate: 1, worldBase: world.now}
	c.local.start = world.Now().Add(offset)
	c.wake = world.AfterFunc(0, c.run)
	c.wake.Stop() // there is nothing to wait for yet
	return c
}

// SetRate lets the clock run rate times as fast as the world's from now on. It panics unless
// rate is more than 0.
func (c *HostClock) SetRate(rate float64) {
	if !(rate > 0) || math.IsInf(rate, 1) {
		panic("simnet: SetRate: want a rate above 0")
	}
	c.look()
	c.worldBase, c.localBase, c.rate = c.world.now, c.local.now, rate
	c.arm()
}

// Jump puts the clock forward by d: that time has passed without the host. The timers that
// are due by then go off at once, in their order, all at the new time. It panics if d is
// negative.
func (c *HostClock) Jump(d time.Duration) {
	if d < 0 {
		panic("simnet: Jump: a clock that is read goes on")
	}
	c.look()
	c.worldBase, c.localBase = c.world.now, c.local.after(d)
	c.arm()
}

// Now implements krpc.Clock.
func (c *HostClock) Now() time.Time {
	c.look()
	return c.local.Now()
}

// AfterFunc implements krpc.Clock. f runs as an event of the world's clock.
func (c *HostClock) AfterFunc(d time.Duration, f func()) krpc.Timer {
	t := &hostTimer{clock: c, timer: timer{clock: &c.local, f: f, pos: idle}}
	t.Reset(d)
	return t
}

// look brings the time of the host up to that of the world.
func (c *HostClock) look() {
	passed := float64(c.world.now-c.worldBase) * c.rate
	c.local.now = c.localBase + int64(min(passed, math.MaxInt64/2))
}

// arm sets the world's timer to the time of the first one of the host.
func (c *HostClock) arm() {
	if len(c.local.queue) == 0 {
		c.wake.Stop()
		return
	}
	c.look()
	ahead := float64(c.local.queue[0].at-c.local.now) / c.rate
	c.wake.Reset(time.Duration(math.Ceil(min(ahead, math.MaxInt64/2))))
}

// run makes the call of the first timer, if it is due, and waits for the next one.
func (c *HostClock) run() {
	c.look()
	c.local.step(c.local.now)
	c.arm()
}

// hostTimer is a timer of a HostClock.
type hostTimer struct {
	clock *HostClock
	timer timer
}

// Stop implements krpc.Timer.
func (t *hostTimer) Stop() bool {
	defer t.clock.arm()
	return t.timer.Stop()
}

// Reset implements krpc.Timer.
func (t *hostTimer) Reset(d time.Duration) bool {
	t.clock.look()
	defer t.clock.arm()
	return t.timer.Reset(d)
}

// SetClock gives h a clock of its own: its datagrams are delivered with the time that this one
// shows.
func (h *Host) SetClock(c krpc.Clock) { h.clock = c }

// now returns the time at h.
func (h *Host) now() time.Time {
	if h.clock != nil {
		return h.clock.Now()
	}
	return h.net.clock.Now()
}

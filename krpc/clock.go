package krpc

import "time"

// Clock is the source of time of every protocol object. It is safe for
// concurrent use. In production it is SystemClock, in a simulation the virtual
// clock of krpc/simnet.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// AfterFunc calls f once, d after now, unless the timer is stopped first.
	// f runs on a goroutine of the clock's own and may not block.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call made by Clock.AfterFunc. *time.Timer satisfies it.
type Timer interface {
	// Stop prevents the call; it reports whether the call was still pending.
	Stop() bool
	// Reset lets the call happen d after now, again if it already did. It
	// reports whether the call was still pending.
	Reset(d time.Duration) bool
}

// SystemClock is the Clock of the operating system. Its zero value is ready.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc implements Clock.
func (SystemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

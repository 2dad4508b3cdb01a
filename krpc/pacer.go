package krpc

import (
	"math"
	"sync/atomic"
	"time"
)

// Defaults of the limit on our own queries, in datagrams. It protects the line
// and the router's table of connections, not a lookup from itself: one lookup
// sends some 50 queries, and a limit that it can hit doubles its duration.
const (
	DefaultSendRate  = 1000
	DefaultSendBurst = 1000
)

// Pacer spaces datagrams out to a rate (GCRA). It owns no timer: it says how
// long a datagram has to wait, and the caller sees to it. A nil Pacer sets no
// limit. A Pacer takes no lock, allocates nothing after its first datagram, and
// is safe for concurrent use.
type Pacer struct {
	interval  int64        // nanoseconds that a datagram takes
	tolerance int64        // nanoseconds that a burst may be ahead of the rate
	spare     int64        // of these, what tryLater leaves
	due       atomic.Int64 // when all datagrams so far are paid for, since epoch
	epoch     epoch
}

// NewPacer returns a Pacer for rate datagrams a second on average (at least one
// an hour) and burst, at least 1, at once. With a rate that is not above 0 there
// is no limit: NewPacer returns nil.
func NewPacer(rate float64, burst int) *Pacer {
	if !(rate > 0) {
		return nil
	}
	cost := min(max(1, math.Round(float64(time.Second)/rate)), float64(slowestInterval))
	most := max(1, int(min(float64(burst), math.MaxInt64/4/cost))) // more take longer than time lasts
	return &Pacer{interval: int64(cost), tolerance: int64(cost) * int64(most), spare: int64(cost) * int64(most/2)}
}

// Reserve takes the next place and returns how long after now its datagram may
// leave: 0 within the burst. A place cannot be given back.
func (p *Pacer) Reserve(now time.Time) time.Duration {
	wait, _ := p.TryReserve(now, math.MaxInt64)
	return wait
}

// TryReserve is Reserve for a datagram that is not worth sending when it has to
// wait longer than limit. Then it takes no place, returns false, and the wait
// that there would have been.
func (p *Pacer) TryReserve(now time.Time, limit time.Duration) (time.Duration, bool) {
	return p.reserve(now, limit, 0)
}

// tryLater takes a place at once, but leaves half of the burst to those who cannot wait.
// If there is none it returns false, and how long it takes until there is.
func (p *Pacer) tryLater(now time.Time) (time.Duration, bool) {
	if p == nil {
		return 0, true
	}
	return p.reserve(now, 0, p.spare)
}

// reserve takes the next place, unless the wait for it, with spare nanoseconds of the burst
// left over, is longer than limit.
func (p *Pacer) reserve(now time.Time, limit time.Duration, spare int64) (time.Duration, bool) {
	if p == nil {
		return 0, true
	}
	t := int64(p.epoch.elapsed(now))
	for {
		old := p.due.Load()
		due := max(old, t) + p.interval
		wait := time.Duration(max(0, due-t-p.tolerance+spare))
		if wait > limit {
			return wait, false
		}
		if p.due.CompareAndSwap(old, due) {
			return wait, true
		}
	}
}

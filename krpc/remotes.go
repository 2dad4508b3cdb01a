package krpc

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// DefaultSendRemotes is in addresses a second. A home router keeps an entry for each
	// address that we have sent to for 30 to 180 seconds, and has room for 1 024 to
	// some 16 000 of them, not all for us: these are 12 000 in two minutes, if all of it
	// is used. One info-hash announced a second takes 10 to 20.
	DefaultSendRemotes = 100
	// remotesBurst is how many seconds' worth may be sent to at once: a few lookups.
	remotesBurst = 5

	// remoteAge is for how long a remote is remembered, at least, and twice that at
	// most. maxRemotes bounds a generation of them.
	remoteAge  = time.Minute
	maxRemotes = 1 << 16
)

// Remotes limits how many addresses a second are sent to that were not sent to lately:
// NATs remember each of them, and forget those of others for it. Queries that somebody
// waits for are not held up, but count: those that nobody does make up for them.
//
// Addresses are remembered in two generations. If one is full, the older one is forgotten
// early, and who was in it is new again. A nil Remotes sets no limit. It is safe for
// concurrent use.
type Remotes struct {
	pacer *Pacer

	mu       sync.Mutex // guards what follows
	now, old map[netip.AddrPort]struct{}
	turned   time.Time // when now began
	fresh    uint64
	delayed  uint64
}

// NewRemotes returns a limit of rate new addresses a second. With a rate that is not
// above 0 there is none: NewRemotes returns nil.
func NewRemotes(rate float64) *Remotes {
	if !(rate > 0) {
		return nil
	}
	return &Remotes{pacer: NewPacer(rate, max(1, int(remotesBurst*rate))), now: make(map[netip.AddrPort]struct{})}
}

// Reserve takes note that to is sent to, and returns how long the datagram has to wait:
// 0 if to is known. If it were longer than limit, nothing is noted, and ok is false. With a
// limit below 0 that is so for all that are not known.
func (r *Remotes) Reserve(to netip.AddrPort, now time.Time, limit time.Duration) (wait time.Duration, ok bool) {
	if r == nil {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.knows(to, now) {
		return 0, true
	}
	if wait, ok = r.pacer.TryReserve(now, limit); !ok {
		return wait, false
	}
	if wait > 0 {
		r.delayed++
	}
	r.add(to)
	return wait, true
}

// Sent takes note that to is sent to at once, whatever the limit.
func (r *Remotes) Sent(to netip.AddrPort, now time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.knows(to, now) {
		r.pacer.TryReserve(now, maxLaterDelay/2) // a place is left to those who wait
		r.add(to)
	}
}

// knows tells whether to is remembered, and has it be so for longer.
func (r *Remotes) knows(to netip.AddrPort, now time.Time) bool {
	r.turn(now)
	if _, known := r.now[to]; known {
		return true
	}
	_, known := r.old[to]
	if known {
		r.now[to] = struct{}{}
		delete(r.old, to)
	}
	return known
}

func (r *Remotes) add(to netip.AddrPort) {
	r.fresh++
	r.now[to] = struct{}{}
}

// turn begins a new generation when it is time to, or now is full.
func (r *Remotes) turn(now time.Time) {
	age := now.Sub(r.turned)
	if age < remoteAge && len(r.now) < maxRemotes {
		return
	}
	if age >= 2*remoteAge {
		r.now = nil
	}
	r.old, r.now, r.turned = r.now, make(map[netip.AddrPort]struct{}), now
}

// RemotesStats is a snapshot of a Remotes.
type RemotesStats struct {
	Known, MaxKnown int    // addresses that were sent to lately
	New             uint64 // that were sent to and not known
	Delayed         uint64 // of these, that had to wait for the limit
}

// Stats returns a snapshot. That of a nil Remotes is zero.
func (r *Remotes) Stats() RemotesStats {
	if r == nil {
		return RemotesStats{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return RemotesStats{Known: len(r.now) + len(r.old), MaxKnown: 2 * maxRemotes, New: r.fresh, Delayed: r.delayed}
}

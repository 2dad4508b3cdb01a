package udp

import (
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// refuseBacklog is the share of the receive buffer from which the kernel refuses queries, or
	// more of them, if it stays as full for refuseAfter. A full buffer has room only in the moment
	// after each read, and a flood takes it all: of the replies to our own queries, and of the
	// queries of those who ask as they should, as many would be lost as of the flood. What a reader
	// finds that was off its core for a while it reads within that time.
	refuseBacklog = .5
	refuseAfter   = 10 * time.Millisecond
	// refuseEase is how long it takes to let in twice as many while all is read. To let in all takes
	// twice as long, up to refuseHold, each time that it was too much within that time: whenever the
	// buffer is full, those who are known lose queries too.
	refuseEase = 20 * time.Millisecond
	refuseHold = time.Second
	// refuseStrangers is the highest level at which some are preferred: one query of others in eight is
	// let in, so that who asks again and again becomes known.
	refuseStrangers = 3
	// refuseMost is the highest level: there are too many who are preferred. Above refuseStrangers it
	// eases as soon as the buffer is filled to less than admitBacklog, since they ask for nothing wrong.
	// It goes there only if most of what comes is queries: else they would pay for what is not refused.
	refuseMost   = 6
	admitBacklog = .25
	// refuseRenew is how old the kernel's knowledge of preferences gets. To give it new ones takes up
	// to a millisecond.
	refuseRenew = 100 * time.Millisecond
	// refuseRest is how long a reader that has read all rests while queries are refused, before it
	// looks again: it may not wait for what is refused.
	refuseRest = time.Millisecond
)

// refusal is how much of what comes the kernel refuses for one reader, which alone calls it, but for
// share.
type refusal struct {
	link      link
	preferred func(now time.Time) *krpc.Preferred
	level     atomic.Int32    // one query in 2^level is let in, and those of who is preferred
	since     time.Time       // when the level last changed, or the buffer became as full, or no more so
	hold      time.Duration   // how long it takes to let in all
	opened    time.Time       // when all was let in
	full      bool            // to refuseBacklog, when last seen
	known     *krpc.Preferred // who is preferred, as of renewed
	renewed   time.Time
	told      time.Time // when the kernel was told last
}

func (r *refusal) on() bool { return r.level.Load() > 0 }

// watches tells whether it matters that all was read.
func (r *refusal) watches() bool { return r.full || r.on() }

// share returns the share of strangers' queries that are refused. Any goroutine may call it.
func (r *refusal) share() float64 { return 1 - 1/float64(int(1)<<r.level.Load()) }

// note takes note of how full the receive buffer is at now, 0 if all was read, and whether most of
// what came lately is queries.
func (r *refusal) note(backlog float64, queries bool, now time.Time) {
	level, most := int(r.level.Load()), refuseStrangers
	if queries {
		most = refuseMost
	}
	if full := backlog >= refuseBacklog; full != r.full {
		r.full, r.since = full, now
	}
	ease := refuseEase
	if level == 1 {
		ease = r.hold
	}
	switch held := now.Sub(r.since); {
	case r.full && level < most && held >= refuseAfter:
		r.set(level+1, now)
	case backlog == 0 && level > 0 && held >= ease, level > refuseStrangers && (backlog < admitBacklog || !queries):
		r.set(level-1, now)
	case level > 0 && now.Sub(r.told) >= refuseRenew:
		r.renew(now)
	}
}

// set changes the level.
func (r *refusal) set(level int, now time.Time) {
	if level == int(r.level.Load()) {
		return
	}
	switch {
	case level == 0:
		r.opened = now
	case r.on():
	case now.Sub(r.opened) < refuseHold:
		r.hold = min(2*r.hold, refuseHold)
	default:
		r.hold = refuseEase
	}
	r.level.Store(int32(level))
	r.since = now
	r.renew(now)
}

// renew looks who is preferred now, if that was long ago, and tells the kernel.
func (r *refusal) renew(now time.Time) {
	level := int(r.level.Load())
	if r.told = now; level == 0 || level > refuseStrangers {
		r.link.refuse(level, nil)
		return
	}
	if now.Sub(r.renewed) >= refuseRenew {
		r.renewed, r.known = now, r.preferred(now)
	}
	r.link.refuse(level, r.known)
}

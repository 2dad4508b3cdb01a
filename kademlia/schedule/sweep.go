package schedule

import (
	"encoding/binary"
	"time"
)

const (
	// slotJitter is by which part of the interval a run is later than its slot, at
	// most. A node is asked about all jobs that it is near to in that time: without it
	// a sweep of a small network would be a flood to one node after the other.
	slotJitter = 16
	// slotSkip is by which part of the interval a slot comes too early, at most, after a
	// run that was late.
	slotSkip = 4
)

// pass returns how long after t the sweep passes e, with some jitter. It goes over the
// keyspace once an interval: what part of it is before a key is the part of the interval
// before its slot. So those who are asked about one key are near to the next, and known
// already.
//
// Keys are hashes, which spreads the slots evenly however many there are. Where they are
// not, many are due at once, and late by what Config.Parallel makes them; slots by the
// rank among the keys would be even, but move with every job that comes or goes.
//
// Jobs that are due at the same time are run in this order, too, by a sweep that does
// not wait for its time: it begins where it should be now, and goes from one to the next,
// round and round. What becomes due behind it waits until it comes round, which is why no
// job starves.
func (p *Periodic[J]) pass(e *entry[J], t time.Time) time.Duration {
	part := float64(binary.BigEndian.Uint64(e.key[:])) / (1 << 64)
	slot := time.Duration(part * float64(p.cfg.Interval))
	return p.cfg.Interval - (t.Sub(p.epoch)-slot)%p.cfg.Interval + p.random(p.cfg.Interval/slotJitter)
}

// wait returns how long after now to run e again.
func (p *Periodic[J]) wait(e *entry[J], ok bool, now time.Time) time.Duration {
	if e.slotted = ok; !ok {
		e.begun = time.Time{}
		wait := min(retryWait<<min(e.failures, 16), p.cfg.Interval)
		e.failures++
		return wait*3/4 + p.random(wait/2)
	}
	e.failures = 0
	wait := p.pass(e, now)
	if late := now.Sub(e.at); wait < min(late, p.cfg.Interval/slotSkip) {
		wait += p.cfg.Interval // The run does for this slot, too.
	}
	return wait
}

// gather makes the jobs ready that are due.
func (p *Periodic[J]) gather(now time.Time) {
	if len(p.ready) == 0 {
		p.swept = now
	}
	for len(p.waiting) > 0 && !p.waiting[0].At.After(now) {
		e := p.waiting[0].Of
		p.waiting.Remove(&e.due)
		p.enqueue(&p.ready, e, p.swept.Add(p.pass(e, p.swept)))
	}
}

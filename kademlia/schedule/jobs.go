package schedule

import (
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// What a program needs to have its jobs outlive it.

// AddAt is Add for a job that is first run at a time of before a restart: at once if that is
// past, and as after AddDone if the sweep does not take that long any more.
func (p *Periodic[J]) AddAt(key krpc.ID, job J, at time.Time) error {
	return p.replace(key, job, func(e *entry[J], now time.Time) time.Time {
		switch wait := at.Sub(now); {
		case wait < 0:
			return now
		case wait > p.cfg.Interval+p.cfg.Interval/slotJitter:
			return now.Add(p.wait(e, true, now))
		default:
			return now.Add(wait)
		}
	})
}

// Job returns the job with a key and when it is run next, which is past if it is late or
// under way. ok is false if there is none.
func (p *Periodic[J]) Job(key krpc.ID) (job J, due time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byKey[key]
	if e == nil {
		return job, due, false
	}
	return e.job, e.at, true
}

// Keys returns the keys of all jobs, in their order.
func (p *Periodic[J]) Keys() []krpc.ID {
	p.mu.Lock()
	keys := make([]krpc.ID, 0, len(p.byKey))
	for key := range p.byKey {
		keys = append(keys, key)
	}
	p.mu.Unlock()
	slices.SortFunc(keys, krpc.ID.Compare)
	return keys
}

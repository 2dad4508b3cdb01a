package schedule

import (
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Turn is one run of a job. It ends by one call of End or Drop.
type Turn[J any] struct {
	Key krpc.ID
	Job J

	p *Periodic[J]
	e *entry[J]

	// p.mu guards what follows.
	stop    func() // nil until Config.Run has returned
	stopped bool
	freed   bool
}

// start begins the run, unless it was stopped before.
func (t *Turn[J]) start() {
	if t.begun(nil) {
		t.End(false)
		return
	}
	if stop := t.p.cfg.Run(t); t.begun(stop) {
		stop()
	}
}

// begun notes how to stop the run, and tells whether that was asked for meanwhile.
func (t *Turn[J]) begun(stop func()) (stopped bool) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.stop = stop
	return t.stopped
}

// halt stops the run of t, which may be nil.
func (t *Turn[J]) halt() {
	if t == nil {
		return
	}
	t.p.mu.Lock()
	t.stopped = true
	stop := t.stop
	t.p.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Free lets the next run begin although this one goes on: what is left of it is cheap,
// but may take long.
func (t *Turn[J]) Free() {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.free()
	t.p.arm(t.p.cfg.Clock.Now())
}

func (t *Turn[J]) free() {
	if !t.freed {
		t.freed = true
		t.p.places--
	}
}

// End ends the turn. The job is run again when the sweep comes round to it; sooner if
// the run is not ok.
func (t *Turn[J]) End(ok bool) {
	t.end(func(now time.Time) {
		t.p.await(t.e, now.Add(t.p.wait(t.e, ok, now)))
	})
}

// Drop ends the turn and removes the job. It tells whether the job was still there, and
// not another in its place.
func (t *Turn[J]) Drop() (dropped bool) {
	t.end(func(time.Time) {
		delete(t.p.byKey, t.Key)
		dropped = true
	})
	return dropped
}

// end ends the turn, and goes on by next unless the job has been removed or replaced.
func (t *Turn[J]) end(next func(now time.Time)) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	t.free()
	t.e.turn = nil
	now := p.cfg.Clock.Now()
	if p.byKey[t.Key] == t.e {
		next(now)
	}
	p.arm(now)
}

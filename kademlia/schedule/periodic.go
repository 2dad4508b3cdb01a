package schedule

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// ErrTooMany refuses a job beyond Config.Max, and ErrClosed one after Close.
var (
	ErrTooMany = errors.New("schedule: add: too many jobs")
	ErrClosed  = errors.New("schedule: add: closed")
)

const (
	// retryWait is the wait after a run that failed. It doubles with each more, up
	// to the interval.
	retryWait = time.Minute
	// readyPoll is how often to ask Config.Ready, if it said no when a job was due.
	readyPoll = 5 * time.Second
)

// Config configures a Periodic. Every field is needed.
type Config[J any] struct {
	Clock    krpc.Clock
	Rand     *rand.Rand    // the Periodic's own from then on
	Interval time.Duration // from one run of a job to the next
	Max      int           // jobs
	Parallel int           // runs at a time, but for those that have called Turn.Free

	// Ready tells whether runs may begin. It is asked when a job is due.
	Ready func() bool
	// Run begins a run, which ends by a method of t. stop is to end it early; it may
	// be called at any time, also after the end. Neither may block.
	Run func(t *Turn[J]) (stop func())
	// Replaces tells whether a job takes the place of the old one with its key. If not,
	// the old one stays, and Add returns the error, which may be nil. It is called
	// under the lock, and may do no more than compare.
	Replaces func(job, old J) (bool, error)

	Log  *slog.Logger
	Name string // of the runs, for the log: "announces"
}

// Periodic runs jobs, each once an interval. The key of a job tells it from the
// others. Safe for concurrent use.
type Periodic[J any] struct {
	cfg   Config[J]
	epoch time.Time // when some interval in the past began

	mu      sync.Mutex // guards what follows, and cfg.Rand
	byKey   map[krpc.ID]*entry[J]
	waiting Queue[*entry[J]] // jobs without a run under way, by when they are due
	ready   Queue[*entry[J]] // those that are due, by when the sweep passes them
	swept   time.Time        // how far it has come: see pass
	round   time.Duration    // see Stats
	running int              // runs under way
	places  int              // taken by those that have not called Free
	timer   krpc.Timer
	started bool
	closed  bool
	late    bool // as the log says
}

// entry is a job. The lock of its Periodic guards it.
type entry[J any] struct {
	key      krpc.ID
	job      J
	failures int       // in a row
	turn     *Turn[J]  // under way, or nil
	at       time.Time // when the next run is due
	slotted  bool      // the next run is in its slot: it is not the first, nor for a failure
	begun    time.Time // the last run, if it was in its slot and did not fail
	queue    *Queue[*entry[J]]
	due      Due[*entry[J]] // the place in queue
}

// New returns a Periodic without jobs.
func New[J any](cfg Config[J]) *Periodic[J] {
	p := &Periodic[J]{cfg: cfg, byKey: make(map[krpc.ID]*entry[J])}
	// Programs that were started together must not have the same slots.
	p.epoch = cfg.Clock.Now().Add(-cfg.Interval - p.random(cfg.Interval-1))
	return p
}

// Start begins to run jobs. To start again does nothing.
func (p *Periodic[J]) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = true
	p.arm(p.cfg.Clock.Now())
}

// Close stops the runs under way, and no more begin. To close again does nothing.
func (p *Periodic[J]) Close() {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	var turns []*Turn[J]
	for _, e := range p.byKey {
		if e.turn != nil {
			turns = append(turns, e.turn)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(turns, func(a, b *Turn[J]) int { return a.Key.Compare(b.Key) }) // simulations repeat
	for _, t := range turns {
		t.halt()
	}
}

// Add has job run now, and again at every interval until Remove. The run under way of
// the job that it replaces is stopped. The error is nil, ErrTooMany, ErrClosed or what
// Config.Replaces says.
func (p *Periodic[J]) Add(key krpc.ID, job J) error {
	return p.replace(key, job, func(_ *entry[J], now time.Time) time.Time { return now })
}

// AddDone is Add for a job that has just been done: it is not run now, but first when it
// would be run again.
func (p *Periodic[J]) AddDone(key krpc.ID, job J) error {
	return p.replace(key, job, func(e *entry[J], now time.Time) time.Time { return now.Add(p.wait(e, true, now)) })
}

// replace adds a job that is first run when due says; it is called under the lock.
func (p *Periodic[J]) replace(key krpc.ID, job J, due func(e *entry[J], now time.Time) time.Time) error {
	replaced, err := p.add(key, job, due)
	replaced.halt()
	return err
}

// add adds a job. It returns the turn that this makes obsolete, or nil.
func (p *Periodic[J]) add(key krpc.ID, job J, due func(*entry[J], time.Time) time.Time) (replaced *Turn[J], err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.byKey[key]
	switch {
	case p.closed:
		return nil, ErrClosed
	case old == nil && len(p.byKey) >= p.cfg.Max:
		return nil, ErrTooMany
	case old != nil:
		if replaces, err := p.cfg.Replaces(job, old.job); !replaces {
			return nil, err
		}
		replaced = p.remove(old)
	}
	now := p.cfg.Clock.Now()
	e := &entry[J]{key: key, job: job, at: now}
	e.due.Of = e
	p.byKey[key] = e
	p.await(e, due(e, now))
	p.arm(now)
	return replaced, nil
}

// Remove ends what Add began, and stops the job's run under way.
func (p *Periodic[J]) Remove(key krpc.ID) {
	p.mu.Lock()
	var turn *Turn[J]
	if e := p.byKey[key]; e != nil {
		turn = p.remove(e)
	}
	p.mu.Unlock()
	turn.halt()
}

// remove forgets e, and returns its turn, which may be nil.
func (p *Periodic[J]) remove(e *entry[J]) *Turn[J] {
	delete(p.byKey, e.key)
	if e.turn == nil {
		e.queue.Remove(&e.due)
	}
	return e.turn
}

// await lets e wait until it is due.
func (p *Periodic[J]) await(e *entry[J], due time.Time) {
	e.at = due
	p.enqueue(&p.waiting, e, due)
}

func (p *Periodic[J]) enqueue(q *Queue[*entry[J]], e *entry[J], at time.Time) {
	e.queue, e.due.At = q, at
	q.Push(&e.due)
}

// arm sets the timer to the next run, if another may begin.
func (p *Periodic[J]) arm(now time.Time) {
	switch {
	case !p.started || p.closed || p.places >= p.cfg.Parallel:
	case len(p.ready) > 0:
		p.setTimer(0)
	case len(p.waiting) > 0:
		p.setTimer(max(0, p.waiting[0].At.Sub(now)))
	}
}

func (p *Periodic[J]) setTimer(d time.Duration) {
	if p.timer == nil {
		p.timer = p.cfg.Clock.AfterFunc(d, p.run)
		return
	}
	p.timer.Reset(d)
}

// run is the timer: it begins the runs that are due.
func (p *Periodic[J]) run() {
	due, lag := p.take(p.cfg.Ready())
	if len(due) > 0 {
		p.report(lag)
	}
	for _, t := range due {
		t.start()
	}
}

// take returns the turns to start, and for how long one of them has been due at most.
func (p *Periodic[J]) take(ready bool) (due []*Turn[J], lag time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, 0
	}
	if !ready {
		p.setTimer(readyPoll)
		return nil, 0
	}
	now := p.cfg.Clock.Now()
	p.gather(now)
	for len(p.ready) > 0 && p.places < p.cfg.Parallel {
		e := p.ready[0].Of
		p.swept = e.due.At
		p.ready.Remove(&e.due)
		lag = max(lag, now.Sub(e.at))
		due = append(due, p.begin(e, now))
	}
	p.arm(now)
	return due, lag
}

// begin returns the turn of a job that is run now.
func (p *Periodic[J]) begin(e *entry[J], now time.Time) *Turn[J] {
	if e.slotted {
		if !e.begun.IsZero() {
			p.round = now.Sub(e.begun)
		}
		e.begun = now
	}
	e.turn = &Turn[J]{Key: e.key, Job: e.job, p: p, e: e}
	p.running++
	p.places++
	return e.turn
}

// random returns a duration from 0 to limit.
func (p *Periodic[J]) random(limit time.Duration) time.Duration {
	return time.Duration(p.cfg.Rand.Int64N(int64(limit) + 1))
}

// report logs that runs have become late, by an interval, and that they are no
// longer, not by half of one.
func (p *Periodic[J]) report(lag time.Duration) {
	p.mu.Lock()
	jobs, late := len(p.byKey), lag > p.cfg.Interval || p.late && lag > p.cfg.Interval/2
	changed := late != p.late
	p.late = late
	p.mu.Unlock()
	switch {
	case changed && late:
		p.cfg.Log.Warn(p.cfg.Name+" are late: too many for the interval or the send rate", "scheduled", jobs, "lag", lag)
	case changed:
		p.cfg.Log.Info(p.cfg.Name+" are on time again", "scheduled", jobs)
	}
}

// Stats is a snapshot of a Periodic.
type Stats struct {
	Jobs, Max int
	Running   int           // jobs whose run is under way
	Places    int           // of these, that have not called Turn.Free
	Lag       time.Duration // for how long the job that is due longest has waited
	// Round is how long it took to come round to a job again that was run lately: about an
	// interval, unless runs are late. First runs and those that follow a failure do not count.
	Round time.Duration
}

// Stats returns a snapshot of the gauges.
func (p *Periodic[J]) Stats() Stats {
	now := p.cfg.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Jobs: len(p.byKey), Max: p.cfg.Max, Running: p.running, Places: p.places, Round: p.round}
	if len(p.waiting) > 0 {
		s.Lag = max(0, now.Sub(p.waiting[0].At))
	}
	for _, d := range p.ready { // few, unless there is a backlog
		s.Lag = max(s.Lag, now.Sub(d.Of.at))
	}
	return s
}

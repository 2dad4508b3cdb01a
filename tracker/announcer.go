package tracker

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// ErrTooMany refuses to track more than Config.MaxTracked info-hashes.
var ErrTooMany = errors.New("tracker: track: too many info-hashes")

// ErrClosed refuses to track with a tracker that was closed.
var ErrClosed = errors.New("tracker: closed")

const (
	// maxAnnouncing bounds the lookups of announces at a time. A lookup takes a
	// second or two, so that it is enough for 100 000 info-hashes in 15 minutes;
	// three queries each are below krpc.DefaultSendBurst.
	maxAnnouncing = 256
	// announceRetry is the wait after an announce that no node has stored. It
	// doubles with each more, up to the interval.
	announceRetry = time.Minute
	// joinPoll is how often to look whether the node has joined, if it has not
	// when an announce is due.
	joinPoll = 5 * time.Second
	// slotJitter is by which part of the interval an announce is later than its
	// slot, at most.
	slotJitter = 16
)

// Track has ih announced now, and again at every interval until Untrack. To
// track it with other options than before replaces them. The error is nil,
// ErrTooMany, ErrNoPort or ErrClosed.
func (t *Tracker) Track(ih krpc.ID, o AnnounceOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	return t.announcer.track(ih, o)
}

// Untrack ends what Track began. Nodes remember the last announce for a while.
func (t *Tracker) Untrack(ih krpc.ID) { t.announcer.untrack(ih) }

// Tracked returns the number of info-hashes that are tracked.
func (t *Tracker) Tracked() int { return t.announcer.tracked() }

// announcer announces the tracked info-hashes. Each has a slot of its own within
// the interval, and the slots are spread evenly, so that the load is the same at
// any time even if all were tracked at once: then they are a convoy the first
// time only, spread by nothing but maxAnnouncing.
type announcer struct {
	t        *Tracker
	interval time.Duration
	max      int
	log      *slog.Logger
	epoch    time.Time // when some interval in the past began

	mu         sync.Mutex // guards what follows
	rng        *rand.Rand
	byHash     map[krpc.ID]*tracked
	queue      dueQueue // those without an announce under way
	slots      uint32   // given out
	lookups    int      // under way
	announcing int      // announces under way, those that look up included
	timer      krpc.Timer
	started    bool
	closed     bool
	late       bool // as the log says
}

func newAnnouncer(t *Tracker, cfg Config, now time.Time) *announcer {
	seed := cfg.Swarms.Rand
	rng := rand.New(rand.NewPCG(seed.Uint64(), seed.Uint64()))
	// Programs that were started together must not have the same slots.
	ago := cfg.AnnounceInterval + time.Duration(rng.Int64N(int64(cfg.AnnounceInterval)))
	return &announcer{
		t: t, interval: cfg.AnnounceInterval, max: cfg.MaxTracked, log: cfg.Log,
		epoch: now.Add(-ago), rng: rng, byHash: make(map[krpc.ID]*tracked),
	}
}

func (a *announcer) start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started = true
	a.arm(a.t.clock.Now())
}

func (a *announcer) close() {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
	var current []*announce
	for _, e := range a.byHash {
		if e.current != nil {
			current = append(current, e.current)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(current, func(x, y *announce) int { return x.ih.Compare(y.ih) }) // simulations repeat
	for _, c := range current {
		c.stop()
	}
}

func (a *announcer) track(ih krpc.ID, o AnnounceOptions) error {
	replaced, err := a.add(ih, o)
	if replaced != nil {
		replaced.stop()
	}
	return err
}

func (a *announcer) untrack(ih krpc.ID) {
	a.mu.Lock()
	current := a.remove(a.byHash[ih])
	a.mu.Unlock()
	if current != nil {
		current.stop()
	}
}

// add tracks ih. It returns the announce under way that this makes obsolete.
func (a *announcer) add(ih krpc.ID, o AnnounceOptions) (replaced *announce, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.byHash[ih]
	switch {
	case a.closed:
		return nil, ErrClosed
	case old != nil && old.o == o:
		return nil, nil
	case old == nil && len(a.byHash) >= a.max:
		return nil, ErrTooMany
	}
	replaced = a.remove(old)
	now := a.t.clock.Now()
	e := &tracked{ih: ih, o: o, slot: a.newSlot(), due: now}
	a.byHash[ih] = e
	a.queue.push(e)
	a.arm(now)
	return replaced, nil
}

// remove forgets e, which may be nil, and returns its announce under way.
func (a *announcer) remove(e *tracked) *announce {
	if e == nil {
		return nil
	}
	delete(a.byHash, e.ih)
	if e.current == nil {
		a.queue.remove(e)
	}
	return e.current
}

// newSlot returns a slot far from those given out lately: multiples of the golden
// ratio are spread evenly however many there will be (Fibonacci hashing).
func (a *announcer) newSlot() time.Duration {
	part := a.slots * 0x9E3779B9
	a.slots++
	return time.Duration(float64(a.interval) * float64(part) / (1 << 32))
}

// arm sets the timer to the next announce, if another may begin.
func (a *announcer) arm(now time.Time) {
	if !a.started || a.closed || len(a.queue) == 0 || a.lookups >= maxAnnouncing {
		return
	}
	a.setTimer(max(0, a.queue[0].due.Sub(now)))
}

func (a *announcer) setTimer(d time.Duration) {
	if a.timer == nil {
		a.timer = a.t.clock.AfterFunc(d, a.run)
		return
	}
	a.timer.Reset(d)
}

// run is the timer: it begins the announces that are due.
func (a *announcer) run() {
	joined := kademlia.AnyJoined(a.t.nodes)
	due, lag := a.take(joined)
	if len(due) > 0 {
		a.report(lag)
	}
	for _, d := range due {
		d.start()
	}
}

// take returns the announces to start, and for how long the first has been due.
func (a *announcer) take(joined bool) (due []*announce, lag time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, 0
	}
	if !joined {
		a.setTimer(joinPoll)
		return nil, 0
	}
	now := a.t.clock.Now()
	for len(a.queue) > 0 && a.lookups < maxAnnouncing && !a.queue[0].due.After(now) {
		e := a.queue[0]
		a.queue.remove(e)
		lag = max(lag, now.Sub(e.due))
		due = append(due, a.begin(e))
	}
	a.arm(now)
	return due, lag
}

func (a *announcer) begin(e *tracked) *announce {
	a.lookups++
	a.announcing++
	e.current = a.t.newAnnounce(e.ih, e.o, func(res AnnounceResult) { a.ended(e, res) })
	e.current.onLookedUp = a.lookedUp
	return e.current
}

// lookedUp lets the next lookup begin. Stores are not waited for: one of eight
// datagrams lost would hold the place for the hard timeout.
func (a *announcer) lookedUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lookups--
	a.arm(a.t.clock.Now())
}

func (a *announcer) ended(e *tracked, res AnnounceResult) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.announcing--
	e.current = nil
	if a.byHash[e.ih] != e {
		return // not tracked any more
	}
	now := a.t.clock.Now()
	e.due = now.Add(a.wait(e, res.Stored > 0, now))
	a.queue.push(e)
	a.arm(now)
}

// wait returns how long after now to announce e again.
func (a *announcer) wait(e *tracked, stored bool, now time.Time) time.Duration {
	if !stored {
		wait := min(announceRetry<<min(e.failures, 16), a.interval)
		e.failures++
		return wait*3/4 + a.random(wait/2)
	}
	e.failures = 0
	sinceSlot := (now.Sub(a.epoch) - e.slot) % a.interval
	return a.interval - sinceSlot + a.random(a.interval/slotJitter)
}

// random returns a duration from 0 to limit.
func (a *announcer) random(limit time.Duration) time.Duration {
	return time.Duration(a.rng.Int64N(int64(limit) + 1))
}

// report logs that announces have become late, by an interval, and that they are
// no longer, not by half of one.
func (a *announcer) report(lag time.Duration) {
	a.mu.Lock()
	late := lag > a.interval || a.late && lag > a.interval/2
	changed := late != a.late
	a.late = late
	a.mu.Unlock()
	switch {
	case changed && late:
		a.log.Warn("announces are late: too many info-hashes for the interval or the send rate", "tracked", a.tracked(), "lag", lag)
	case changed:
		a.log.Info("announces are on time again", "tracked", a.tracked())
	}
}

func (a *announcer) tracked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byHash)
}

func (a *announcer) addTo(s *Stats) {
	now := a.t.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Tracked, s.MaxTracked, s.Announcing = len(a.byHash), a.max, a.announcing
	if len(a.queue) > 0 {
		s.AnnounceLag = max(0, now.Sub(a.queue[0].due))
	}
}

package krpc

import "time"

// backlogPause is the shortest time between two looks at a limit.
const backlogPause = time.Millisecond

// backlog holds the queries that nobody waits for until an outgoing limit has room for them,
// first come, first served. One timer looks after the first of them: if each tried again by
// itself, twenty thousand would do little else, and the lucky would overtake the others.
//
// The endpoint's mu guards it, and EndpointConfig.MaxPending bounds it.
type backlog struct {
	e *Endpoint
	// reserve takes a place for tx, which has it after wait. If there is none it returns
	// false, and when to ask again.
	reserve func(e *Endpoint, tx *transaction, now time.Time, turn turn) (wait time.Duration, ok bool)
	// next is called, without mu, for a transaction that has its place.
	next func(tx *transaction, now time.Time, wait time.Duration) error

	waiting []*transaction
	since   time.Time // it is the turn of the first one
	timer   Timer
}

// turn tells whose turn it is.
type turn uint8

const (
	othersTurn turn = iota
	itsTurn
	overdue // it has been its turn for the length of the hard timeout: others leave no room
)

// enter sends tx on its way as soon as the limit has room for it. After an error its
// observer has not been called, nor will be.
func (q *backlog) enter(tx *transaction, now time.Time) error {
	q.e.mu.Lock()
	wait, ok := q.admit(tx, now)
	q.e.mu.Unlock()
	if !ok {
		return nil
	}
	return q.next(tx, now, wait)
}

// admit takes a place for tx or, if there is none, has it wait.
func (q *backlog) admit(tx *transaction, now time.Time) (wait time.Duration, ok bool) {
	whose := itsTurn
	if len(q.waiting) > 0 {
		whose = othersTurn
	}
	if wait, ok = q.reserve(q.e, tx, now, whose); ok || q.e.closed {
		return wait, ok
	}
	q.waiting = append(q.waiting, tx)
	if whose == itsTurn {
		q.since = now
		q.wake(wait)
	}
	return 0, false
}

// wake sets the timer.
func (q *backlog) wake(wait time.Duration) {
	wait = max(min(wait, q.e.cfg.HardTimeout), backlogPause)
	if q.timer == nil {
		q.timer = q.e.cfg.Clock.AfterFunc(wait, q.serve)
		return
	}
	q.timer.Reset(wait)
}

// serve is the timer: it sends on their way those for whom there is room now.
func (q *backlog) serve() {
	now := q.e.cfg.Clock.Now()
	for {
		tx, wait := q.pop(now)
		if tx == nil {
			return
		}
		tx.tell(q.next(tx, now, wait))
	}
}

// pop returns the first transaction if there is a place for it, after wait; else nil.
func (q *backlog) pop(now time.Time) (tx *transaction, wait time.Duration) {
	q.e.mu.Lock()
	defer q.e.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil, 0
	}
	whose := itsTurn
	if now.Sub(q.since) >= q.e.cfg.HardTimeout {
		whose = overdue
	}
	tx = q.waiting[0]
	wait, ok := q.reserve(q.e, tx, now, whose)
	if !ok {
		q.wake(wait)
		return nil, 0
	}
	q.waiting[0] = nil
	q.waiting, q.since = q.waiting[1:], now
	return tx, wait
}

// clear forgets all, who have been ended.
func (q *backlog) clear() {
	q.waiting = nil
	if q.timer != nil {
		q.timer.Stop()
	}
}

// reserveRemote is about the limit on new remotes. Places are taken maxLaterDelay ahead: those
// who do not wait for any take half of that, so that they always leave room.
func (e *Endpoint) reserveRemote(tx *transaction, now time.Time, whose turn) (wait time.Duration, ok bool) {
	limit := maxLaterDelay
	if whose == othersTurn {
		limit = -1 // only whom the limit is not about may overtake
	}
	if wait, ok = e.cfg.Remotes.Reserve(tx.to, now, limit); ok {
		tx.sent = now.Add(wait)
		return wait, true
	}
	return wait - maxLaterDelay/2, false
}

// awaitPacer has tx, which knows when it may be sent, wait for the pacer, too.
func (tx *transaction) awaitPacer(now time.Time, _ time.Duration) error {
	return tx.e.unpaced.enter(tx, now)
}

// reservePace is about the pacer.
func (e *Endpoint) reservePace(tx *transaction, now time.Time, whose turn) (wait time.Duration, ok bool) {
	switch whose {
	case othersTurn:
		return 0, false
	case itsTurn:
		wait, ok = e.cfg.Pacer.tryLater(now)
	case overdue:
		if wait, ok = e.cfg.Pacer.TryReserve(now, maxPaceDelay); !ok {
			wait -= maxPaceDelay
		}
	}
	if ok {
		wait = max(wait, tx.sent.Sub(now))
	}
	return wait, ok
}

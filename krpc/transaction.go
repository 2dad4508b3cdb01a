package krpc

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// transaction is a query that waits for its reply.
type transaction struct {
	e        *Endpoint
	id       uint32
	to       netip.AddrPort
	method   Method
	observer Observer
	later    bool

	// e.mu guards what follows.
	sent    time.Time // or entered, until then
	timer   Timer     // the soft timeout, then the hard one; nil before it is sent
	stalled bool
}

// Query sends q to a node and has o told what becomes of it. It sets q's Kind,
// TID, Version and ReadOnly, and keeps nothing of q. When the outgoing limit
// asks for it, the datagram leaves up to two seconds later. After an error the
// query was not sent and o is never called.
func (e *Endpoint) Query(to netip.AddrPort, q *Message, o Observer) error {
	return e.query(to, q, o, false)
}

// QueryLater is Query for a query that nobody waits for. It leaves when the outgoing
// limits have room for it, the one on new remotes included. For the length of the hard
// timeout it gives way to others.
func (e *Endpoint) QueryLater(to netip.AddrPort, q *Message, o Observer) error {
	return e.query(to, q, o, true)
}

func (e *Endpoint) query(to netip.AddrPort, q *Message, o Observer, later bool) error {
	if e.cfg.Blocklist.Contains(to.Addr()) {
		return ErrBlocked
	}
	tx := &transaction{e: e, to: to, method: q.Method, observer: o, later: later, sent: e.cfg.Clock.Now()}
	if err := tx.open(); err != nil {
		return err
	}
	var tid [4]byte
	binary.BigEndian.PutUint32(tid[:], tx.id)
	q.Kind, q.TID, q.Version, q.ReadOnly = KindQuery, tid[:], e.version, e.cfg.ReadOnly
	return tx.launch(q.Append(make([]byte, 0, 256)))
}

// open enters tx among those that are pending.
func (tx *transaction) open() error {
	e := tx.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	if len(e.pending) >= e.cfg.MaxPending {
		e.counters.refused.Add(1)
		return ErrBusy
	}
	tx.id = e.cfg.Rand.Uint32()
	for e.pending[tx.id] != nil {
		tx.id = e.cfg.Rand.Uint32()
	}
	e.pending[tx.id] = tx
	return nil
}

// launch sends packet as soon as the outgoing limits allow. After an error the observer
// has not been called, nor will be.
func (tx *transaction) launch(packet []byte) error {
	e := tx.e
	now := e.cfg.Clock.Now()
	wait, ok := tx.pace(now)
	switch {
	case !ok && tx.later:
		e.cfg.Clock.AfterFunc(wait, func() { tx.tell(tx.relaunch(packet)) })
		return nil
	case !ok:
		e.counters.refused.Add(1)
		return tx.withdraw(ErrBusy)
	case !tx.start(now, wait):
		return nil // ended by Close meanwhile
	case wait > 0:
		e.cfg.Clock.AfterFunc(wait, func() { tx.tell(tx.send(packet)) })
		return nil
	}
	return tx.send(packet)
}

// relaunch is launch for a transaction that may have been ended meanwhile.
func (tx *transaction) relaunch(packet []byte) error {
	tx.e.mu.Lock()
	over := tx.e.pending[tx.id] != tx
	tx.e.mu.Unlock()
	if over {
		return nil
	}
	return tx.launch(packet)
}

// pace returns how long tx has to wait for the outgoing limits. It reports false if that
// is too long, and it has no place.
func (tx *transaction) pace(now time.Time) (wait time.Duration, ok bool) {
	cfg := &tx.e.cfg
	if !tx.later {
		if wait, ok = cfg.Pacer.TryReserve(now, maxPaceDelay); ok {
			cfg.Remotes.Sent(tx.to, now)
		}
		return wait, ok
	}
	held, ok := cfg.Remotes.Reserve(tx.to, now, maxLaterDelay)
	if !ok {
		return held, false
	}
	line := maxLaterDelay
	if now.Sub(tx.sent) > cfg.HardTimeout {
		line = maxPaceDelay // where there are always others, it must not wait for ever
	}
	wait, ok = cfg.Pacer.TryReserve(now, line)
	return max(wait, held), ok
}

// start sets the timer of tx, which is sent after wait. It reports false if tx is over.
func (tx *transaction) start(now time.Time, wait time.Duration) bool {
	e := tx.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pending[tx.id] != tx {
		return false
	}
	tx.sent = now.Add(wait)
	tx.timer = e.cfg.Clock.AfterFunc(wait+e.rtt.Stall(), tx.expire)
	return true
}

// withdraw ends tx with an error. It returns nil if tx is over already.
func (tx *transaction) withdraw(err error) error {
	if tx.e.take(tx.id, tx.to) == nil {
		return nil
	}
	return err
}

// tell tells the observer why tx, which had to wait, was not sent; nothing if err is nil.
func (tx *transaction) tell(err error) {
	if err != nil {
		tx.observer.Done(nil, 0, err)
	}
}

func (tx *transaction) send(packet []byte) error {
	if err := tx.e.cfg.Transport.Send(tx.to, packet); err != nil {
		tx.e.counters.sendErrors.Add(1)
		return tx.withdraw(err)
	}
	tx.e.counters.queriesOut[tx.method].Add(1)
	return nil
}

// take removes the pending transaction with this id and address, and returns it;
// nil if there is none.
func (e *Endpoint) take(id uint32, from netip.AddrPort) *transaction {
	e.mu.Lock()
	defer e.mu.Unlock()
	tx := e.pending[id]
	if tx == nil || tx.to != from {
		return nil
	}
	delete(e.pending, id)
	tx.stop()
	return tx
}

// stop ends the timeouts of tx.
func (tx *transaction) stop() {
	if tx.timer != nil {
		tx.timer.Stop()
	}
}

// match gives a reply or an error to the query that it belongs to.
func (e *Endpoint) match(now time.Time, from netip.AddrPort, m *Message) {
	var tx *transaction
	if len(m.TID) == 4 {
		tx = e.take(binary.BigEndian.Uint32(m.TID), from)
	}
	if tx == nil {
		e.drop(DropUnmatched)
		return
	}
	e.heard.Store(int64(e.epoch.elapsed(now)))
	rtt := now.Sub(tx.sent)
	e.mu.Lock()
	e.rtt.Add(rtt)
	e.mu.Unlock()
	e.counters.rtt.Observe(rtt.Seconds())
	if m.Kind == KindError {
		e.counters.errorsIn[tx.method].Add(1)
		tx.observer.Done(m, rtt, &Error{Code: m.ErrorCode, Text: string(m.ErrorText)})
		return
	}
	e.counters.repliesIn[tx.method].Add(1)
	tx.observer.Done(m, rtt, nil)
}

// expire is the transaction's timer: first the soft timeout, then the hard one.
func (tx *transaction) expire() {
	e := tx.e
	e.mu.Lock()
	if e.pending[tx.id] != tx {
		e.mu.Unlock()
		return
	}
	if !tx.stalled {
		tx.stalled = true
		tx.timer.Reset(tx.sent.Add(e.cfg.HardTimeout).Sub(e.cfg.Clock.Now()))
		e.mu.Unlock()
		e.counters.stalls.Add(1)
		tx.observer.Stalled()
		return
	}
	delete(e.pending, tx.id)
	e.mu.Unlock()
	e.counters.timeouts[tx.method].Add(1)
	tx.observer.Done(nil, 0, ErrTimeout)
}

// Close ends every pending query with ErrClosed and refuses new ones. Deliver
// still answers queries, until the transport stops.
func (e *Endpoint) Close() {
	e.mu.Lock()
	pending := slices.SortedFunc(maps.Values(e.pending), func(a, b *transaction) int {
		return cmp.Compare(a.id, b.id) // one order, so that simulations repeat
	})
	e.pending, e.closed = nil, true
	for _, tx := range pending {
		tx.stop()
	}
	e.mu.Unlock()
	for _, tx := range pending {
		tx.observer.Done(nil, 0, ErrClosed)
	}
}

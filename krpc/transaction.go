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
	tid      [4]byte // the same
	to       netip.AddrPort
	observer Observer
	packet   []byte
	method   Method

	// e.mu guards what follows.
	phase phase
	sent  time.Time // or when it may be, at the earliest
	timer Timer     // ends the phase; nil in a backlog
}

// phase is what a transaction waits for.
type phase uint8

const (
	phaseLine    phase = iota // its place among those that leave
	phaseFresh                // its reply, until the soft timeout
	phaseStalled              // its reply, until the hard timeout
)

// Query sends q to a node and has o told what becomes of it. It sets q's Kind,
// TID, Version and ReadOnly, and keeps nothing of q. When the outgoing limit
// asks for it, the datagram leaves up to two seconds later. After an error the
// query was not sent and o is never called.
func (e *Endpoint) Query(to netip.AddrPort, q *Message, o Observer) error {
	return e.query(to, q, o, false)
}

// QueryLater is Query for a query that nobody waits for. It leaves when the outgoing
// limits have room for it, the one on new remotes included, behind those that were to
// leave later before. It gives way to others; where these leave no room at all, one leaves
// each hard timeout.
func (e *Endpoint) QueryLater(to netip.AddrPort, q *Message, o Observer) error {
	return e.query(to, q, o, true)
}

func (e *Endpoint) query(to netip.AddrPort, q *Message, o Observer, later bool) error {
	if e.cfg.Blocklist.Contains(to.Addr()) {
		return ErrBlocked
	}
	now := e.cfg.Clock.Now()
	tx := &transaction{e: e, to: to, method: q.Method, observer: o, sent: now}
	if err := tx.open(); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(tx.tid[:], tx.id)
	q.Kind, q.TID, q.Version, q.ReadOnly = KindQuery, tx.tid[:], e.version, e.cfg.ReadOnly
	tx.packet = q.Append(make([]byte, 0, q.length()))
	if later {
		return e.strange.enter(tx, now)
	}
	return tx.launch(now)
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

// launch sends tx as soon as the outgoing limit allows. After an error the observer has
// not been called, nor will be.
func (tx *transaction) launch(now time.Time) error {
	e := tx.e
	wait, ok := e.cfg.Pacer.TryReserve(now, maxPaceDelay)
	if !ok {
		e.counters.refused.Add(1)
		return tx.withdraw(ErrBusy)
	}
	e.cfg.Remotes.Sent(tx.to, now)
	return tx.depart(now, wait)
}

// depart sends tx after wait, unless it is over.
func (tx *transaction) depart(now time.Time, wait time.Duration) error {
	e := tx.e
	e.mu.Lock()
	if e.pending[tx.id] != tx {
		e.mu.Unlock()
		return nil // ended by Close meanwhile
	}
	if wait > 0 {
		tx.timer = e.cfg.Clock.AfterFunc(wait, tx.elapsed)
		e.mu.Unlock()
		return nil
	}
	tx.leave(now)
	e.mu.Unlock()
	return tx.send()
}

// leave begins to wait for the reply. It is called under mu.
func (tx *transaction) leave(now time.Time) {
	e := tx.e
	tx.phase, tx.sent = phaseFresh, now
	if tx.timer == nil {
		tx.timer = e.cfg.Clock.AfterFunc(e.rtt.Stall(), tx.elapsed)
		return
	}
	tx.timer.Reset(e.rtt.Stall())
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

func (tx *transaction) send() error {
	if tx.e.cfg.Blocklist.Contains(tx.to.Addr()) { // since it was accepted
		return tx.withdraw(ErrBlocked)
	}
	packet := tx.packet
	tx.packet = nil // it may take long until there is a reply
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

// stop ends the timer of tx.
func (tx *transaction) stop() {
	if tx.timer != nil {
		tx.timer.Stop()
	}
}

// match gives a reply or an error to the query that it belongs to, or takes it as the proof that a
// query of its sender waits for.
func (e *Endpoint) match(now time.Time, from netip.AddrPort, m *Message, out Outbox) {
	var tx *transaction
	if len(m.TID) == 4 {
		tx = e.take(binary.BigEndian.Uint32(m.TID), from)
	}
	if tx == nil {
		if !e.release(now, from, m.TID, out) {
			e.drop(DropUnmatched)
		}
		return
	}
	e.heard.Store(int64(e.epoch.elapsed(now)))
	e.cfg.Proven.Add(from.Addr(), now)
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

// elapsed is the transaction's timer. It ends the phase.
func (tx *transaction) elapsed() {
	e := tx.e
	e.mu.Lock()
	if e.pending[tx.id] != tx {
		e.mu.Unlock()
		return
	}
	now := e.cfg.Clock.Now()
	switch tx.phase {
	case phaseLine:
		tx.leave(now)
		e.mu.Unlock()
		tx.tell(tx.send())
	case phaseFresh:
		tx.phase = phaseStalled
		tx.timer.Reset(tx.sent.Add(e.cfg.HardTimeout).Sub(now))
		e.mu.Unlock()
		e.counters.stalls.Add(1)
		tx.observer.Stalled()
	case phaseStalled:
		delete(e.pending, tx.id)
		e.mu.Unlock()
		e.counters.timeouts[tx.method].Add(1)
		tx.observer.Done(nil, 0, ErrTimeout)
	}
}

// Close ends every pending query with ErrClosed, those that were not sent yet included,
// and refuses new ones. Deliver still answers queries, until the transport stops, but for
// those that wait for a proof: see ErrUnproven.
func (e *Endpoint) Close() {
	e.mu.Lock()
	pending := slices.SortedFunc(maps.Values(e.pending), func(a, b *transaction) int {
		return cmp.Compare(a.id, b.id) // one order, so that simulations repeat
	})
	e.pending, e.closed = nil, true
	e.strange.clear()
	e.unpaced.clear()
	for _, tx := range pending {
		tx.stop()
	}
	e.mu.Unlock()
	e.held.close()
	for _, tx := range pending {
		tx.observer.Done(nil, 0, ErrClosed)
	}
}

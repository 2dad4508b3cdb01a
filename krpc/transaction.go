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
	sent     time.Time
	observer Observer

	timer   Timer // the soft timeout, then the hard one; guarded by e.mu
	stalled bool  // guarded by e.mu
}

// Query sends q to a node and has o told what becomes of it. It sets q's Kind,
// TID, Version and ReadOnly, and keeps nothing of q. When the outgoing limit
// asks for it, the datagram leaves up to two seconds later. After an error the
// query was not sent and o is never called.
func (e *Endpoint) Query(to netip.AddrPort, q *Message, o Observer) error {
	if e.cfg.Blocklist.Contains(to.Addr()) {
		return ErrBlocked
	}
	now := e.cfg.Clock.Now()
	tx, wait, err := e.open(now, to, q.Method, o)
	if err != nil {
		return err
	}
	var tid [4]byte
	binary.BigEndian.PutUint32(tid[:], tx.id)
	q.Kind, q.TID, q.Version, q.ReadOnly = KindQuery, tid[:], e.version, e.cfg.ReadOnly
	packet := q.Append(make([]byte, 0, 256))
	if wait > 0 {
		e.cfg.Clock.AfterFunc(wait, func() { tx.sendLate(packet) })
		return nil
	}
	if err := tx.send(packet); err != nil && e.take(tx.id, to) != nil {
		return err
	}
	return nil // sent, or ended by Close meanwhile
}

// open enters a new transaction and says how long its datagram has to wait.
func (e *Endpoint) open(now time.Time, to netip.AddrPort, m Method, o Observer) (*transaction, time.Duration, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, 0, ErrClosed
	}
	if len(e.pending) >= e.cfg.MaxPending {
		e.counters.refused.Add(1)
		return nil, 0, ErrBusy
	}
	wait, ok := e.cfg.Pacer.TryReserve(now, maxPaceDelay)
	if !ok {
		e.counters.refused.Add(1)
		return nil, 0, ErrBusy
	}
	tx := &transaction{e: e, id: e.cfg.Rand.Uint32(), to: to, method: m, sent: now.Add(wait), observer: o}
	for e.pending[tx.id] != nil {
		tx.id = e.cfg.Rand.Uint32()
	}
	e.pending[tx.id] = tx
	tx.timer = e.cfg.Clock.AfterFunc(wait+e.rtt.Stall(), tx.expire)
	return tx, wait, nil
}

func (tx *transaction) send(packet []byte) error {
	if err := tx.e.cfg.Transport.Send(tx.to, packet); err != nil {
		tx.e.counters.sendErrors.Add(1)
		return err
	}
	tx.e.counters.queriesOut[tx.method].Add(1)
	return nil
}

// sendLate sends a query that had to wait for the outgoing limit.
func (tx *transaction) sendLate(packet []byte) {
	if err := tx.send(packet); err != nil && tx.e.take(tx.id, tx.to) != nil {
		tx.observer.Done(nil, 0, err)
	}
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
	tx.timer.Stop()
	return tx
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
		tx.timer.Stop()
	}
	e.mu.Unlock()
	for _, tx := range pending {
		tx.observer.Done(nil, 0, ErrClosed)
	}
}

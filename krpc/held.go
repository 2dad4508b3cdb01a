package krpc

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxHeld bounds the queries that are held. They are less than 150 bytes each: to longer ones
	// ten times as much is sent at once.
	maxHeld = 1024
	// holdTime is for how long a query is held: most answers to a ping are there by then, and few
	// clients have given up on theirs.
	holdTime = time.Second
	// briefest is what a brief reply takes, of what may be sent for a query that is held, at most.
	briefest = 180
)

// held are the queries of strangers to which replies would be too long for who may not have asked,
// see ErrUnproven. Each leaves when its sender has answered the ping that was sent for it, when he
// asks again, or when its time is over. The oldest gives way to a new one.
//
// The ping is shorter than the query that pays for it, and goes the way of a reply: it waits for no
// limit on our own queries, is none of those that are pending, and tells nothing of round-trip
// times. Its answer counts for the query that is held and for nothing else. Else strangers would
// decide by queries in the names of others whom we ask and whom we know.
type held struct {
	size atomic.Int32 // of queries

	mu      sync.Mutex                         // guards what follows
	key     SipKey                             // drawn anew whenever nothing is held
	queries *simplelru.LRU[uint32, *heldQuery] // by the transaction ids of their pings; nil: none yet
	closed  bool
}

type heldQuery struct {
	tid    uint32 // of its ping
	from   netip.AddrPort
	packet []byte
	// allowance is how many bytes may be sent for it as it is, see Request.allowance: briefest or
	// more.
	allowance int
	timer     Timer
}

// hold keeps the query rq, of this packet, back, and pings its sender. If he has asked for the same
// before, the earlier query is answered, with what both have paid for, lest who sends the later in
// his name take the reply from him. The later is then held with what is left.
func (e *Endpoint) hold(rq *Request, packet []byte, out Outbox) {
	tid, ok := e.heldTID(rq)
	if !ok {
		rq.brief = true
		e.counters.brief.Add(1)
		e.answer(rq, out)
		return
	}
	h := &heldQuery{tid: tid, from: rq.From, packet: slices.Clone(packet), allowance: rq.allowance}
	if before := e.held.find(h.tid, h.from); before == nil || !e.held.remove(before) {
		e.challenge(h, rq, out)
	} else {
		h.allowance += before.allowance
		h.allowance -= e.resume(before, rq.Now, h.allowance-briefest, out)
		if slices.Equal(before.packet, packet) {
			return // it was one answer for both
		}
	}
	o := e.held.enter(h, e.cfg.Clock, e.lapse)
	if o != h {
		e.counters.held.Add(1)
	}
	if o != nil {
		e.resume(o, rq.Now, 0, &direct{transport: e.cfg.Transport})
	}
}

// challenge pings the sender of rq, which is h, unless he is read-only and answers nothing (BEP 43).
func (e *Endpoint) challenge(h *heldQuery, rq *Request, out Outbox) {
	if rq.Query.ReadOnly {
		return
	}
	h.allowance -= e.pingLen
	out.Push(rq.From, e.appendPing(out.Buffer(), rq.Reply.ID, h.tid))
}

// appendPing appends a ping with our id and this transaction id to b.
func (e *Endpoint) appendPing(b []byte, id ID, tid uint32) []byte {
	ping := Message{
		Kind: KindQuery, Method: MethodPing, TID: binary.BigEndian.AppendUint32(nil, tid),
		HasID: true, ID: id, Version: e.version, ReadOnly: e.cfg.ReadOnly,
	}
	return ping.Append(b)
}

// heldTID returns the transaction id of the ping for rq: who is not at its source cannot guess it.
// It is the same for what is the same query, of somebody who answers pings or of one who does not.
// It reports false if nothing is held any more.
func (e *Endpoint) heldTID(rq *Request) (tid uint32, ok bool) {
	s := &e.held
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	if s.queries == nil {
		s.queries, _ = simplelru.NewLRU[uint32, *heldQuery](maxHeld+1, nil) // the size is no error
	}
	if s.queries.Len() == 0 {
		e.mu.Lock() // guards Rand
		s.key = NewSipKey(e.cfg.Rand)
		e.mu.Unlock()
	}
	ip := rq.From.Addr().As16()
	b := append(ip[:], byte(rq.From.Port()>>8), byte(rq.From.Port()))
	if b = append(b, rq.Query.Target[:]...); rq.Query.ReadOnly {
		b = append(b, 1)
	}
	return uint32(s.key.Sum(b)), true
}

// release answers the query that a reply with this transaction id was awaited for. It reports false
// if there is none.
func (e *Endpoint) release(now time.Time, from netip.AddrPort, tid []byte, out Outbox) bool {
	if e.held.size.Load() == 0 || len(tid) != 4 {
		return false
	}
	h := e.held.find(binary.BigEndian.Uint32(tid), from)
	if h == nil || !e.held.remove(h) {
		return false
	}
	e.resume(h, now, MaxDatagram, out)
	return true
}

// lapse answers h, whose time is over. The reply leaves by the way of our own queries, which on a
// host of several addresses may be from another one.
func (e *Endpoint) lapse(h *heldQuery) {
	if e.held.remove(h) {
		e.resume(h, e.cfg.Clock.Now(), 0, &direct{transport: e.cfg.Transport})
	}
}

// resume answers h, which is held no more, with so many bytes at most, or, if that is 0 or not
// enough, briefly, with what was paid for h alone. It returns how many it was, see ReservePing.
func (e *Endpoint) resume(h *heldQuery, now time.Time, allowance int, out Outbox) int {
	rq := requests.Get().(*Request)
	defer requests.Put(rq)
	if rq.Query.Decode(h.packet) != nil {
		return 0 // it was decoded before
	}
	rq.From, rq.Now, rq.endpoint = h.from, now, e
	rq.brief, rq.allowance, rq.limit = false, allowance, min(MaxReply, allowance)
	if allowance == 0 || !e.answer(rq, out) {
		rq.brief, rq.limit = true, min(MaxReply, h.allowance-allowance+rq.allowance)
		e.counters.brief.Add(1)
		e.answer(rq, out)
	}
	return allowance - rq.allowance + rq.Reply.length()
}

// enter adds h, which has lapse called in time. It returns the query that is to be answered in its
// place, if there is one: the oldest of too many, or h itself.
func (s *held) enter(h *heldQuery, clock Clock, lapse func(*heldQuery)) (instead *heldQuery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.queries.Contains(h.tid) { // of another reader at this moment, or by chance
		return h
	}
	h.timer = clock.AfterFunc(holdTime, func() { lapse(h) })
	s.queries.Add(h.tid, h)
	if s.queries.Len() > maxHeld {
		_, instead, _ = s.queries.RemoveOldest()
		instead.timer.Stop()
	}
	s.size.Store(int32(s.queries.Len()))
	return instead
}

// find returns the query of this source whose ping has this transaction id; nil if there is none.
func (s *held) find(tid uint32, from netip.AddrPort) *heldQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queries == nil {
		return nil
	}
	if h, ok := s.queries.Peek(tid); ok && h.from == from {
		return h
	}
	return nil
}

// remove removes h. It reports false if somebody else has: who removes it answers it.
func (s *held) remove(h *heldQuery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, _ := s.queries.Peek(h.tid); now != h {
		return false
	}
	h.timer.Stop()
	s.queries.Remove(h.tid)
	s.size.Store(int32(s.queries.Len()))
	return true
}

// close forgets what is held, and has nothing held any more.
func (s *held) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.queries == nil {
		return
	}
	for _, h := range s.queries.Values() {
		h.timer.Stop()
	}
	s.queries.Purge()
	s.size.Store(0)
}

// direct is an Outbox that sends at once: what answers no datagram belongs to no batch.
type direct struct {
	transport Transport
	b         [MaxDatagram]byte
}

func (d *direct) Buffer() []byte { return d.b[:0] }

// Push sends b. A reply that does not leave is lost like one that does not arrive.
func (d *direct) Push(to netip.AddrPort, b []byte) { _ = d.transport.Send(to, b) }

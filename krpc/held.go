package krpc

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHeld bounds the queries that are held, and maxHeldOfSource those of one address.
	maxHeld         = 64
	maxHeldOfSource = 4
	// holdTime is for how long a query is held: most answers to a ping are there by then, and few
	// clients have given up on theirs.
	holdTime = time.Second
	// pingLength is the most that a sender is sent while his query is held.
	pingLength = 100
)

// held are the queries of strangers to which replies would be too long for who may not have asked,
// see ErrUnproven. Each leaves when its sender has proved his address, when he asks again, or when
// its time is over. Where there is no room a query is answered briefly at once.
type held struct {
	size    atomic.Int32 // of queries
	mu      sync.Mutex   // guards what follows
	queries []*heldQuery // in the order of their arrival
	closed  bool
}

type heldQuery struct {
	from   netip.AddrPort
	target ID
	packet []byte
	timer  Timer
}

// hold keeps the query rq, of this packet, back, and pings its sender. It reports false if the
// query is to be answered now: briefly, as there is no room, or since its sender has asked before
// and has sent enough by now.
func (e *Endpoint) hold(rq *Request, packet []byte) bool {
	again := e.held.take(func(h *heldQuery) bool { return h.from == rq.From && h.target == rq.Query.Target })
	if len(again) > 0 {
		rq.paid += len(again[0].packet)
		return false
	}
	h := &heldQuery{from: rq.From, target: rq.Query.Target, packet: slices.Clone(packet)}
	if !e.held.enter(h, func() { h.timer = e.cfg.Clock.AfterFunc(holdTime, func() { e.lapse(h) }) }) {
		rq.brief = true
		e.counters.brief.Add(1)
		return false
	}
	e.counters.held.Add(1)
	if !rq.Query.ReadOnly { // such a sender answers nothing (BEP 43)
		ping := Message{Method: MethodPing, HasID: true, ID: rq.Reply.ID}
		_ = e.Query(rq.From, &ping, nobody{}) // refused, it is as good as lost
	}
	return true
}

// release answers what an address, which has just been proved, has asked.
func (e *Endpoint) release(now time.Time, from netip.Addr) {
	if e.held.size.Load() == 0 {
		return
	}
	for _, h := range e.held.take(func(h *heldQuery) bool { return h.from.Addr() == from }) {
		e.resume(h, now)
	}
}

// lapse answers h, whose sender has not proved his address in time.
func (e *Endpoint) lapse(h *heldQuery) {
	if len(e.held.take(func(o *heldQuery) bool { return o == h })) > 0 {
		e.resume(h, e.cfg.Clock.Now())
	}
}

// resume answers h, which is held no more: briefly to who is still a stranger.
func (e *Endpoint) resume(h *heldQuery, now time.Time) {
	rq := requests.Get().(*Request)
	defer requests.Put(rq)
	if rq.Query.Decode(h.packet) != nil {
		return // it was decoded before
	}
	rq.From, rq.Now, rq.proven, rq.paid = h.from, now, e.cfg.Proven, len(h.packet)
	rq.limit = min(MaxReply, maxGain*len(h.packet)-pingLength)
	if rq.brief = !e.cfg.Proven.Has(h.from.Addr(), now); rq.brief {
		e.counters.brief.Add(1)
	}
	e.answer(rq, &direct{transport: e.cfg.Transport})
}

// enter adds h, and calls start under the lock. It reports false if there is no room.
func (s *held) enter(h *heldQuery, start func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ofSource := 0
	for _, o := range s.queries {
		if o.from.Addr() == h.from.Addr() {
			ofSource++
		}
	}
	if s.closed || len(s.queries) >= maxHeld || ofSource >= maxHeldOfSource {
		return false
	}
	start()
	s.queries = append(s.queries, h)
	s.size.Add(1)
	return true
}

// take removes the queries that are meant, and returns them.
func (s *held) take(meant func(*heldQuery) bool) (taken []*heldQuery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = slices.DeleteFunc(s.queries, func(h *heldQuery) bool {
		if !meant(h) {
			return false
		}
		h.timer.Stop()
		taken = append(taken, h)
		return true
	})
	s.size.Store(int32(len(s.queries)))
	return taken
}

// close forgets what is held, and has nothing held any more.
func (s *held) close() {
	s.take(func(*heldQuery) bool { return true })
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// nobody is the Observer of a query whose end does not matter.
type nobody struct{}

func (nobody) Stalled()                            {}
func (nobody) Done(*Message, time.Duration, error) {}

// direct is an Outbox that sends at once: what was held belongs to no batch.
type direct struct {
	transport Transport
	b         [MaxDatagram]byte
}

func (d *direct) Buffer() []byte { return d.b[:0] }

// Push sends b. A reply that does not leave is lost like one that does not arrive.
func (d *direct) Push(to netip.AddrPort, b []byte) { _ = d.transport.Send(to, b) }

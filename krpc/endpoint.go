package krpc

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultHardTimeout is how long a query waits for its reply. It is long, so
	// that late replies still count; the soft timeout gives the speed.
	DefaultHardTimeout = 10 * time.Second
	// DefaultMaxPending bounds the queries that wait for a reply: as many as are sent in
	// DefaultHardTimeout at 2 500 a second, and some that wait to be sent.
	DefaultMaxPending = 32768
	// maxPaceDelay is the longest that a query waits for the outgoing limit. Queries that
	// nobody waits for do not stand in that line: see backlog.
	maxPaceDelay = 2 * time.Second
	// maxLaterDelay is how far ahead these take places among the new remotes, where nobody
	// else has to wait.
	maxLaterDelay = time.Second
)

// Handler answers queries. ServeKRPC fills rq.Reply and returns nil to have it
// sent, an *Error to send that, ErrDrop to stay silent, or ErrUnproven to be called
// again later; any other error is sent as 202. It is called concurrently, may not
// block, and keeps nothing of rq.
type Handler interface {
	ServeKRPC(rq *Request) error
}

// Observer learns what becomes of one query. Its methods are called with no
// lock held and may not block.
type Observer interface {
	// Stalled says that the soft timeout has passed. The node may be slow or
	// gone; its reply is still welcome. On another core it may overlap with Done.
	Stalled()
	// Done ends the query: exactly once, unless Endpoint.Query returned an
	// error. err is nil for a reply, an *Error when the other node sent one (r
	// is then that message), and else says why there is no reply (r is nil).
	// r aliases the packet and is valid during the call only.
	Done(r *Message, rtt time.Duration, err error)
}

// Request is a query under way to its reply. It is recycled once the handler
// has returned.
type Request struct {
	Query Message
	Reply Message // Kind, TID, Version and IP are set already
	From  netip.AddrPort
	Now   time.Time

	limit int // length of the reply; 0: MaxReply
	// allowance is how many bytes may be sent for it to who has not proved his address.
	allowance int
	brief     bool      // see Brief
	endpoint  *Endpoint // that it came to; nil: none, in a test
	used      int
	scratch   [2 * MaxDatagram]byte
}

// Scratch returns an empty slice with capacity n for a field of the reply, valid
// as long as the request is.
func (rq *Request) Scratch(n int) []byte {
	if rq.used+n > len(rq.scratch) {
		return make([]byte, 0, n)
	}
	b := rq.scratch[rq.used : rq.used : rq.used+n]
	rq.used += n
	return b
}

// requests recycles Requests among all endpoints: a pool for each would cost a
// simulated node more than everything else it has.
var requests = sync.Pool{New: func() any { return new(Request) }}

// EndpointConfig configures an Endpoint.
type EndpointConfig struct {
	// Required.
	Transport Transport
	Clock     Clock
	Handler   Handler
	// Rand draws transaction ids. The endpoint's lock guards it, so that it may
	// not be shared with anything else.
	Rand *rand.Rand

	// Limits; nil means none.
	Limiter   *Limiter   // on the queries of each source; see SetLimiter
	Proven    *Proven    // who gets replies of full length under strain, and long ones at all; nil: everybody
	Pacer     *Pacer     // on own queries
	Remotes   *Remotes   // on the new addresses that these go to; see QueryLater
	Blocklist *Blocklist // of sources that are not heard and not asked

	Version     string        // "v" of every message; none if empty
	ReadOnly    bool          // "ro" in every query (BEP 43)
	HardTimeout time.Duration // 0: DefaultHardTimeout
	MaxPending  int           // 0: DefaultMaxPending
}

// Endpoint speaks KRPC at one address: it decodes datagrams, hands queries to a
// Handler and replies to the Observer of the query they belong to. It is passive
// (no goroutine, no socket) and safe for concurrent use.
type Endpoint struct {
	// What each datagram touches comes first.
	cfg       EndpointConfig
	version   []byte
	limiter   atomic.Pointer[Limiter]
	strainer  Strainer // the transport, if it is one
	strangers strangers
	epoch     epoch
	heard     atomic.Int64 // when a query of ours was last answered, since epoch
	counters  counters
	pingLen   int // of our pings, in bytes
	// asked is who has asked while there was no flood, and who keeps asking in one, by the hash of
	// cfg.Proven. It is nil if there is none of these, or no strainer.
	asked *sightings
	held  held

	mu      sync.Mutex // guards what follows
	closed  bool
	pending map[uint32]*transaction
	rtt     RTT
	strange backlog // of queries that wait for the limit on new remotes
	unpaced backlog // of those that then wait for the pacer
}

// rttBounds are the bounds of the histograms of round-trip times, which share them.
var rttBounds = [...]float64{.005, .01, .025, .05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10}

// NewEndpoint returns an Endpoint that is ready for Deliver and Query.
func NewEndpoint(cfg EndpointConfig) *Endpoint {
	e := new(Endpoint)
	e.Init(cfg)
	return e
}

// Init makes a zero Endpoint ready for Deliver and Query: one that is part of something else, whose
// memory is then close to its own. It may not be copied from then on.
func (e *Endpoint) Init(cfg EndpointConfig) {
	if cfg.HardTimeout == 0 {
		cfg.HardTimeout = DefaultHardTimeout
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = DefaultMaxPending
	}
	e.cfg, e.pending = cfg, make(map[uint32]*transaction)
	e.strange = backlog{e: e, reserve: (*Endpoint).reserveRemote, next: (*transaction).awaitPacer}
	e.unpaced = backlog{e: e, reserve: (*Endpoint).reservePace, next: (*transaction).depart}
	e.limiter.Store(cfg.Limiter)
	if e.strainer, _ = cfg.Transport.(Strainer); e.strainer != nil && cfg.Proven != nil {
		asked := newSightings(cfg.Proven.Cells())
		e.asked = &asked
		e.strainer.SetPreferred(e.preferred)
	}
	if cfg.Version != "" {
		e.version = []byte(cfg.Version)
	}
	e.pingLen = len(e.appendPing(nil, ID{}, 0))
	e.counters.rtt = NewHistogram(rttBounds[:]...)
}

// SetLimiter replaces the limit on the queries of each source; nil means none.
func (e *Endpoint) SetLimiter(l *Limiter) { e.limiter.Store(l) }

// SilentFor returns for how long no query of ours was answered, to the second;
// from the first call on if none ever was.
func (e *Endpoint) SilentFor(now time.Time) time.Duration {
	return e.epoch.elapsed(now) - time.Duration(e.heard.Load())
}

// StallTime returns the soft timeout of a query sent now.
func (e *Endpoint) StallTime() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rtt.Stall()
}

// Deliver takes one datagram and is the PacketFunc of the endpoint's transport.
// Answering a query allocates nothing and waits for no lock of the endpoint, unless
// its sender has to prove his address first: see ErrUnproven.
func (e *Endpoint) Deliver(now time.Time, from netip.AddrPort, b []byte, out Outbox) {
	strained := e.strained(now)
	if from.Port() == 0 || !from.IsValid() {
		e.drop(DropSource)
		return
	}
	if e.cfg.Blocklist.Contains(from.Addr()) {
		e.drop(DropBlocked)
		return
	}
	var who asker
	if strained && BeginsAsQuery(b) {
		if who = e.recognize(from.Addr(), now); who.standing == standingFirst && !e.strangers.hears() {
			e.drop(DropStrained) // before any time is spent on it
			return
		}
	}
	rq := requests.Get().(*Request)
	defer requests.Put(rq)
	if rq.Query.Decode(b) != nil {
		e.drop(DropMalformed)
		return
	}
	if rq.Query.Kind != KindQuery {
		e.match(now, from, &rq.Query, out)
		return
	}
	if strained && who.standing == standingUnknown { // begins as no sender has it that sorts its keys
		e.drop(DropStrained)
		return
	}
	rq.From, rq.Now, rq.endpoint = from, now, e
	if !e.admit(rq, len(b), strained, who) {
		return
	}
	e.counters.queriesIn[rq.Query.Method].Add(1)
	if !e.answer(rq, out) {
		e.hold(rq, b, out)
	}
}

// answer answers one query. It reports false if it has not, as that takes a proof of the
// sender's address.
func (e *Endpoint) answer(rq *Request, out Outbox) bool {
	q := &rq.Query
	rq.used = 0
	e.begin(rq, KindReply)
	var err error
	if bad := q.CheckQuery(); bad != nil {
		err = bad
	} else {
		err = e.cfg.Handler.ServeKRPC(rq)
	}
	switch err := err.(type) {
	case nil:
		e.counters.repliesOut[q.Method].Add(1)
	case *Error:
		e.setError(rq, err)
	default:
		switch err {
		case ErrUnproven:
			return false
		case ErrDrop:
			e.drop(DropHandler)
			return true
		}
		e.setError(rq, errServer)
	}
	out.Push(rq.From, rq.Reply.Append(out.Buffer()))
	return true
}

// begin makes the reply to rq an empty one with what all replies have.
func (e *Endpoint) begin(rq *Request, kind Kind) {
	r := &rq.Reply
	r.Reset()
	r.Kind, r.TID, r.Version, r.IP = kind, rq.Query.TID, e.version, rq.From
}

var errServer = &Error{Code: CodeServer, Text: "server error"}

func (e *Endpoint) setError(rq *Request, err *Error) {
	e.begin(rq, KindError)
	r := &rq.Reply
	r.ErrorCode = err.Code
	r.ErrorText = append(rq.Scratch(len(err.Text)), err.Text...)
	e.counters.errorsOut[rq.Query.Method].Add(1)
}

func (e *Endpoint) drop(reason DropReason) { e.counters.drops[reason].Add(1) }

package simnet_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var errRefuses = errors.New("the transport refuses")

// trial is an endpoint, and what must be true of it. It is all that the endpoint knows of the
// world: its transport, its handler, and the outbox of its replies.
type trial struct {
	*krpc.Endpoint
	t     *testing.T
	in    *script
	clock *simnet.Clock

	blocked    krpc.Blocklist
	hard       time.Duration
	readOnly   bool
	maxPending int
	refuses    bool // the transport
	strained   bool // the same
	preferred  func(time.Time) *krpc.Preferred
	askers     map[netip.Addr]bool // whoever has asked, or answered
	closing    bool
	closed     bool
	how        int // queries are answered

	queries []*ownQuery
	waiting map[string]*ownQuery // sent and not over, by their transaction ids
	open    int                  // accepted and not over
	over    int

	held    []heldQuery // as the endpoint should hold them
	owed    []heldQuery // that are to be answered now
	evicted []heldQuery // that are to be answered briefly now
	waits   bool        // what is being delivered is held, or answered with another

	pushed int // datagrams
	from   netip.AddrPort
	tid    string // of what is being delivered
	asks   bool   // what is being delivered is a query
	size   int    // of it
	buf    [krpc.MaxDatagram]byte
}

// ownQuery is a query of our own. It is the krpc.Observer of its transaction.
type ownQuery struct {
	tr      *trial
	to      netip.AddrPort
	method  krpc.Method
	then    int // 1: it is followed by another; 2: the endpoint is closed
	tid     string
	at      time.Time // when it was sent
	sent    int
	stalled int
	over    int
	refused bool
}

// sent returns the queries that can be answered, in the order in which they were made.
func (tr *trial) sent() (list []*ownQuery) {
	for _, q := range tr.queries {
		if tr.waiting[q.tid] == q {
			list = append(list, q)
		}
	}
	return list
}

// LocalAddr implements krpc.Transport.
func (tr *trial) LocalAddr() netip.AddrPort { return simnet.Addr(100) }

// Strained implements krpc.Strainer.
func (tr *trial) Strained() bool { return tr.strained }

// SetPreferred implements krpc.Strainer.
func (tr *trial) SetPreferred(f func(time.Time) *krpc.Preferred) { tr.preferred = f }

// Send implements krpc.Transport.
func (tr *trial) Send(to netip.AddrPort, b []byte) error {
	var m krpc.Message
	err := m.Decode(b)
	if m.Kind == krpc.KindReply {
		tr.lapsed(to, &m, len(b))
		return nil
	}
	if err != nil || m.Kind != krpc.KindQuery || len(m.TID) != 4 || len(b) > krpc.MaxReply {
		tr.t.Fatalf("sends %q: %v", b, err)
	}
	q := tr.queries[int(m.ID[0])<<8|int(m.ID[1])]
	switch {
	case tr.closed:
		tr.t.Fatal("sends after Close")
	case tr.blocked.Contains(to.Addr()):
		tr.t.Fatalf("sends to %v", to)
	case q.to != to || q.method != m.Method || m.ReadOnly != tr.readOnly || string(m.Version) != "KN01":
		tr.t.Fatalf("sends %+v to %v, for %+v", m, to, q)
	case q.sent > 0 || q.over > 0 || q.refused:
		tr.t.Fatalf("sends %+v once more", q)
	}
	q.sent++
	if tr.refuses {
		return errRefuses
	}
	q.tid, q.at = string(m.TID), tr.clock.Now()
	tr.waiting[q.tid] = q
	return nil
}

// Stalled implements krpc.Observer.
func (q *ownQuery) Stalled() {
	if q.stalled++; q.stalled > 1 || q.sent != 1 || q.over > 0 || q.refused {
		q.tr.t.Fatalf("stalls: %+v", q)
	}
}

// Done implements krpc.Observer.
func (q *ownQuery) Done(r *krpc.Message, rtt time.Duration, err error) {
	tr := q.tr
	if q.over++; q.over > 1 || q.refused {
		tr.t.Fatalf("ends again, with %v: %+v", err, q)
	}
	tr.open--
	tr.over++
	since := tr.clock.Now().Sub(q.at)
	var told *krpc.Error
	ok := false
	switch {
	case err == nil:
		ok = r.Kind == krpc.KindReply
	case errors.As(err, &told):
		ok = r.Kind == krpc.KindError && told.Code == r.ErrorCode && told.Text == string(r.ErrorText)
	case err == krpc.ErrTimeout:
		ok = r == nil && q.sent == 1 && q.stalled == 1 && since >= tr.hard && since <= max(tr.hard, 1500*time.Millisecond)
	case err == krpc.ErrBlocked:
		ok = r == nil && tr.blocked.Contains(q.to.Addr()) && q.sent == 0
	case err == krpc.ErrClosed:
		ok = r == nil && tr.closing
	case err == errRefuses:
		ok = r == nil && tr.refuses && q.sent == 1
	}
	if r != nil {
		ok = ok && tr.waiting[q.tid] == q && tr.tid == q.tid && tr.from == q.to && rtt == since
	}
	if !ok {
		tr.t.Fatalf("ends with %v and %+v, %v after it was sent: %+v", err, r, since, q)
	}
	delete(tr.waiting, q.tid)
	switch q.then {
	case 1:
		tr.query(true)
	case 2:
		tr.query(false)
	case 3:
		tr.close()
	}
}

// checkRefusal checks why q was not accepted.
func (tr *trial) checkRefusal(q *ownQuery, err error) {
	ok := false
	switch err {
	case krpc.ErrBlocked:
		ok = tr.blocked.Contains(q.to.Addr())
	case krpc.ErrClosed:
		ok = tr.closing
	case krpc.ErrBusy:
		ok = q.sent == 0
	case errRefuses:
		ok = tr.refuses && q.sent == 1
	}
	if !ok || q.over > 0 || q.stalled > 0 {
		tr.t.Fatalf("refused with %v: %+v", err, q)
	}
}

// The ways in which a query is answered.
const (
	answerNodes = iota
	answerNothing
	answerError
	answerFailure
	answerPeers
	answerItem
	answerScratch
	answerAndAsk
	answerProven
	numAnswers
)

// ServeKRPC implements krpc.Handler.
func (tr *trial) ServeKRPC(rq *krpc.Request) error {
	r, how := &rq.Reply, tr.how
	if !tr.delivers(rq.From, string(r.TID)) {
		how = answerProven // the only ones that are held
	}
	if r.Kind != krpc.KindReply || r.IP != rq.From || rq.Query.CheckQuery() != nil {
		tr.t.Fatalf("is to answer %+v with %+v", rq.Query, r)
	}
	r.HasID, r.ID = true, nodeID
	r.Nodes = append(rq.Scratch(8*krpc.Node4Len), make([]byte, 8*krpc.Node4Len)...)
	switch how {
	case answerNothing:
		return krpc.ErrDrop
	case answerError:
		return &krpc.Error{Code: 301, Text: "no"}
	case answerFailure:
		return errors.New("a secret")
	case answerPeers:
		for r.Values = []byte{}; rq.Room() >= 8+len("6:valuesle"); {
			r.Values = krpc.AppendPeer(r.Values, simnet.Addr(1))
		}
	case answerItem:
		addItem(rq)
		rq.MakeRoom(krpc.MaxReply - maxItemReply)
	case answerProven:
		if !rq.Brief() {
			addItem(rq)
			if !rq.Extend(maxItemReply) {
				if len(tr.owed) == 0 { // else it is one before that is not paid for yet
					tr.hold(rq)
				}
				return krpc.ErrUnproven
			}
		}
		rq.MakeRoom(0)
	case answerScratch:
		r.Token = append(rq.Scratch(3*krpc.MaxDatagram), "token"...)
	case answerAndAsk:
		tr.query(false)
	}
	return nil
}

func addItem(rq *krpc.Request) {
	r := &rq.Reply
	r.Nodes6 = append(rq.Scratch(8*krpc.Node6Len), make([]byte, 8*krpc.Node6Len)...)
	r.V = append(append(rq.Scratch(1000), "996:"...), make([]byte, 996)...)
	r.K, r.Sig, r.HasSeq = make([]byte, 32), make([]byte, 64), true
}

// maxItemReply is the most that a reply with an item of 1000 bytes takes.
const maxItemReply = 1440

// Buffer implements krpc.Outbox.
func (tr *trial) Buffer() []byte { return tr.buf[:0] }

// Push implements krpc.Outbox.
func (tr *trial) Push(to netip.AddrPort, b []byte) {
	var m krpc.Message
	err := m.Decode(b)
	switch {
	case err != nil || &b[0] != &tr.buf[0]:
		tr.t.Fatalf("answers %q to %v: %v", b, to, err)
	case m.Kind == krpc.KindQuery:
		tr.pinged(to, &m, len(b))
		return
	case tr.paid(to, &m, len(b)):
	case !tr.delivers(to, string(m.TID)):
		tr.t.Fatalf("answers %q to %v", b, to)
	default:
		tr.pushed++
	}
	most := krpc.MaxReply
	if m.V != nil {
		most = maxItemReply
	}
	if len(b) > most || m.Kind == krpc.KindError && m.ErrorCode == krpc.CodeServer && string(m.ErrorText) != "server error" {
		tr.t.Fatalf("answers with %d bytes: %q", len(b), b)
	}
}

// delivers tells whether a query with this transaction id is what is being delivered.
func (tr *trial) delivers(from netip.AddrPort, tid string) bool {
	return tr.asks && tr.from == from && tr.tid == tid
}

// deliver delivers a datagram: it ends the query that it answers, is answered, now or later, or is
// counted as dropped, and only one of these.
func (tr *trial) deliver(from netip.AddrPort, b []byte) {
	var m krpc.Message
	m.Decode(b)
	m = *m.Clone()
	tr.from, tr.tid, tr.size, tr.asks, tr.waits = from, string(m.TID), len(b), m.Kind == krpc.KindQuery, false
	if m.Kind != 0 {
		tr.askers[from.Addr()] = true
	}
	q := tr.waiting[tr.tid]
	answers := m.Kind != 0 && m.Kind != krpc.KindQuery && q != nil && q.to == from && !tr.blocked.Contains(from.Addr())
	proves := m.Kind != 0 && m.Kind != krpc.KindQuery && !answers && from.Port() > 0 && !tr.blocked.Contains(from.Addr()) && tr.proves(from, tr.tid)
	pushed, dropped := tr.pushed, tr.drops()
	original := slices.Clone(b)
	tr.Deliver(tr.clock.Now(), from, b, tr)
	if !slices.Equal(original, b) {
		tr.t.Fatalf("%q was changed into %q", original, b)
	}
	tr.from, tr.tid, tr.asks = netip.AddrPort{}, "", false
	pushed, dropped = tr.pushed-pushed, tr.drops()-dropped
	if len(tr.owed)+len(tr.evicted) > 0 {
		tr.t.Fatalf("does not answer %+v, nor, briefly, %+v", tr.owed, tr.evicted)
	}
	switch {
	case (tr.waits || proves) && pushed+dropped == 0:
	case answers && (q.over != 1 || pushed+dropped > 0):
		tr.t.Fatalf("%q is no reply to %+v: %d pushed, %d dropped", b, q, pushed, dropped)
	case !answers && pushed+dropped != 1, tr.waits || proves, pushed > 0 && m.Kind != krpc.KindQuery:
		tr.t.Fatalf("%q: %d pushed, %d dropped", b, pushed, dropped)
	}
}

func (tr *trial) drops() (n int) {
	for _, d := range tr.Stats().Drops {
		n += int(d)
	}
	return n
}

// check checks what holds between two moves.
func (tr *trial) check() {
	s := tr.Stats()
	if s.Pending != tr.open || s.Pending > tr.maxPending || len(tr.waiting) > tr.open {
		tr.t.Fatalf("%d pending, of which %d were sent and %d are known to be; at most %d", s.Pending, len(tr.waiting), tr.open, tr.maxPending)
	}
	if s.Holding != len(tr.held) || s.MaxHolding != maxHeld {
		tr.t.Fatalf("%d queries are held, want %d; at most %d", s.Holding, len(tr.held), s.MaxHolding)
	}
	if stall := tr.StallTime(); stall < 200*time.Millisecond || stall > 1500*time.Millisecond {
		tr.t.Fatalf("the soft timeout is %v", stall)
	}
	if tr.closed && (s.Pending > 0 || tr.clock.Pending() > 0) {
		tr.t.Fatalf("%d pending and %d timers after Close", s.Pending, tr.clock.Pending())
	}
}

// close closes the endpoint, perhaps from within a close.
func (tr *trial) close() {
	within := tr.closing && !tr.closed
	tr.closing = true
	if tr.Close(); within {
		return
	}
	tr.held = nil
	if tr.closed = true; tr.open > 0 {
		tr.t.Fatalf("Close leaves %d queries", tr.open)
	}
}

// settle lets everything come to its end by itself, and then closes the endpoint.
func (tr *trial) settle() {
	events, start := 0, tr.clock.Now()
	for tr.clock.Step() {
		if events++; events > 500_000 {
			tr.t.Fatalf("%d pending after %d timers in %v", tr.open, events, tr.clock.Now().Sub(start))
		}
	}
	tr.check()
	if took := tr.clock.Now().Sub(start); tr.Stats().Pending > 0 || len(tr.held) > 0 || took > time.Hour {
		tr.t.Fatalf("%d pending without a timer, after %v", tr.open, took)
	}
	tr.close()
	tr.check()
	tr.query(false)
	tr.query(true)
	tr.check()
}

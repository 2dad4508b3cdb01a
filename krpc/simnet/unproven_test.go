package simnet_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// library is an endpoint that answers with as long an item as there is, its transport, and what it
// has sent to whom.
type library struct {
	*krpc.Endpoint
	t     *testing.T
	clock *simnet.Clock
	got   map[netip.AddrPort]*received
	buf   [krpc.MaxDatagram]byte
	pong  func(to netip.AddrPort, tid []byte) // how pings are answered; nil: by nobody
}

type received struct{ bytes, paid, briefs, items int }

func newLibrary(t *testing.T) *library {
	l := &library{t: t, clock: simnet.NewClock(time.Unix(1_800_000_000, 0)), got: make(map[netip.AddrPort]*received)}
	r := rand.New(rand.NewPCG(1, 2))
	l.Endpoint = krpc.NewEndpoint(krpc.EndpointConfig{
		Transport: l, Clock: l.clock, Handler: l, Rand: r, Proven: krpc.NewProven(1024, r), Pacer: krpc.NewPacer(10, 10),
	})
	return l
}

// ServeKRPC implements krpc.Handler.
func (l *library) ServeKRPC(rq *krpc.Request) error {
	rq.Reply.HasID, rq.Reply.ID = true, nodeID
	if rq.Brief() {
		return nil
	}
	if addItem(rq); !rq.Extend(maxItemReply) {
		return krpc.ErrUnproven
	}
	rq.MakeRoom(0)
	return nil
}

// LocalAddr implements krpc.Transport.
func (l *library) LocalAddr() netip.AddrPort { return simnet.Addr(0) }

// Send implements krpc.Transport.
func (l *library) Send(to netip.AddrPort, b []byte) error {
	var m krpc.Message
	if err := m.Decode(b); err != nil {
		l.t.Fatal(err)
	}
	g := l.got[to]
	if g == nil {
		return nil // a query of our own
	}
	g.bytes += len(b)
	switch {
	case m.Kind == krpc.KindQuery && l.pong != nil:
		l.pong(to, m.Clone().TID)
	case m.Kind == krpc.KindReply && m.V != nil:
		g.items++
	case m.Kind == krpc.KindReply:
		g.briefs++
	}
	return nil
}

// Buffer implements krpc.Outbox.
func (l *library) Buffer() []byte { return l.buf[:0] }

// Push implements krpc.Outbox.
func (l *library) Push(to netip.AddrPort, b []byte) { _ = l.Send(to, b) }

// asks has somebody ask for the item.
func (l *library) asks(from netip.AddrPort, tid string) {
	q := krpc.Message{Kind: krpc.KindQuery, TID: []byte(tid), Method: krpc.MethodGet, HasID: true, ID: krpc.ID{2}, HasTarget: true}
	b := q.Append(nil)
	if l.got[from] == nil {
		l.got[from] = new(received)
	}
	l.got[from].paid += len(b)
	l.Deliver(l.clock.Now(), from, b, l)
}

// pongAfter has pings answered after a while.
func (l *library) pongAfter(d time.Duration) func(netip.AddrPort, []byte) {
	return func(to netip.AddrPort, tid []byte) {
		pong := krpc.Message{Kind: krpc.KindReply, TID: tid, HasID: true, ID: krpc.ID{2}}
		l.clock.AfterFunc(d, func() { l.Deliver(l.clock.Now(), to, pong.Append(nil), l) })
	}
}

// Who asks in the names of many keeps us from nothing that we ask ourselves, whether they answer
// or not, and each of them is sent ten times what he seems to have sent at most.
func TestForgedGetsLeaveOurQueriesAlone(t *testing.T) {
	for _, silent := range []bool{true, false} {
		l := newLibrary(t)
		if !silent {
			l.pong = l.pongAfter(5 * time.Second) // too late
		}
		before := l.StallTime()
		const sources = 3000
		for i := range sources {
			l.asks(simnet.Addr(1+i), "a")
			l.clock.Run(200 * time.Microsecond)
			if i%3 == 0 {
				l.asks(simnet.Addr(1+i), "b")
			}
		}
		if st := l.Stats(); st.Holding != st.MaxHolding || st.Pending+int(st.Refused) > 0 {
			t.Errorf("%d held, %d pending, %d refused", st.Holding, st.Pending, st.Refused)
		}
		var done answered
		if err := l.Query(simnet.Addr(5000), &krpc.Message{Method: krpc.MethodPing, HasID: true}, &done); err != nil {
			t.Error(err)
		}
		if sent := l.Stats().Methods[krpc.MethodPing].QueriesOut; sent != 1 {
			t.Errorf("%d pings of our own have left, want one at once", sent)
		}
		l.clock.Run(time.Minute)
		if st := l.Stats(); st.Holding+st.Pending+st.Proven > 0 || l.StallTime() != before {
			t.Errorf("%d held, %d pending, %d proven, stalls after %v, %v before", st.Holding, st.Pending, st.Proven, l.StallTime(), before)
		}
		for i := range sources {
			g := l.got[simnet.Addr(1+i)]
			items := 0
			if i%3 == 0 {
				items = 1
			}
			if g.items != items || g.briefs != 1 || g.bytes > 10*g.paid {
				t.Fatalf("the %d. source: %+v", i, g)
			}
		}
	}
}

// answered counts the ends of queries.
type answered int

func (a *answered) Stalled()                                 {}
func (a *answered) Done(*krpc.Message, time.Duration, error) { *a++ }

// A flood of forged gets does not keep those who answer a ping from items.
func TestItemsReachStrangersInAFlood(t *testing.T) {
	l := newLibrary(t)
	forged := 0
	for i := range 50 {
		honest := simnet.Addr(10_000 + i)
		for range 500 {
			forged++
			l.asks(simnet.Addr(20_000+forged), "a")
			l.clock.Run(200 * time.Microsecond)
		}
		l.pong = l.pongAfter(100 * time.Millisecond)
		l.asks(honest, "a")
		l.pong = nil
	}
	l.clock.Run(time.Minute)
	for i := range 50 {
		if g := l.got[simnet.Addr(10_000+i)]; g.items != 1 || g.briefs > 0 {
			t.Fatalf("the %d. stranger, in %d forged gets: %+v", i, forged, g)
		}
	}
}

package krpc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// strainedTransport is a transport that is under strain when the test says so.
type strainedTransport struct {
	strained  bool
	preferred func(time.Time) *Preferred
}

func (s *strainedTransport) Send(netip.AddrPort, []byte) error { return nil }
func (s *strainedTransport) LocalAddr() netip.AddrPort         { return netip.AddrPort{} }
func (s *strainedTransport) Strained() bool                    { return s.strained }

func (s *strainedTransport) SetPreferred(f func(time.Time) *Preferred) { s.preferred = f }

// talker answers as much as it may, and takes a token for a proof.
type talker struct{}

func (talker) ServeKRPC(rq *Request) error {
	if rq.Query.Token != nil {
		rq.Proved()
	}
	rq.Reply.V = []byte{}
	for room := rq.Room(); len(rq.Reply.V) < room; {
		rq.Reply.V = append(rq.Reply.V, 'x')
	}
	return nil
}

// lastReply is an Outbox that keeps the length of what was pushed last.
type lastReply struct {
	b    [MaxDatagram]byte
	size int
}

func (l *lastReply) Buffer() []byte                  { return l.b[:0] }
func (l *lastReply) Push(_ netip.AddrPort, b []byte) { l.size = len(b) }

type strainLab struct {
	t         *testing.T
	transport strainedTransport
	endpoint  *Endpoint
	now       time.Time
	flooded   int // sources of a flood that have asked
}

func newStrainLab(t *testing.T, l *Limiter) *strainLab {
	s := &strainLab{t: t, now: time.Now()}
	r := rand.New(rand.NewPCG(1, 2))
	s.endpoint = NewEndpoint(EndpointConfig{
		Transport: &s.transport, Clock: SystemClock{}, Handler: talker{}, Rand: r, Limiter: l, Proven: NewProven(64, r),
	})
	return s
}

// ask returns the lengths of a query of from and of the reply, which is 0 if there is none.
func (s *strainLab) ask(from int, token []byte) (query, reply int) {
	m := Message{Kind: KindQuery, Method: MethodPing, TID: []byte("a"), HasID: true, Token: token}
	b, out := m.Append(nil), &lastReply{}
	s.endpoint.Deliver(s.now, netip.AddrPortFrom(provenAddr(from), 1), b, out)
	return len(b), out.size
}

// Strangers get ten times what they send, and four times under strain, if they get anything; who
// has proved his address gets what he gets always.
func TestRepliesAreShortForStrangersUnderStrain(t *testing.T) {
	s := newStrainLab(t, nil)
	sent, got := s.ask(1, nil)
	if got != maxGain*sent {
		t.Errorf("%d bytes for %d", got, sent)
	}
	s.ask(2, []byte("token"))
	s.now = s.now.Add(knownBefore + sightingTick)
	s.transport.strained = true
	answered := 0
	for range 160 {
		sent, got := s.ask(1, nil)
		if got > 0 {
			answered++
		}
		if got > strainedGain*sent {
			t.Fatalf("%d bytes for %d under strain", got, sent)
		}
		if _, got := s.ask(2, nil); got != maxGain*sent {
			t.Fatalf("%d bytes for %d under strain, for who has proved his address", got, sent)
		}
	}
	st := s.endpoint.Stats()
	if answered == 0 || st.Brief != uint64(answered) || st.Drops[DropStrained] != uint64(160-answered) || st.Proven != 1 {
		t.Errorf("%d answered, %d briefly, %d dropped, %d proven", answered, st.Brief, st.Drops[DropStrained], st.Proven)
	}
	s.transport.strained = false
	if _, got := s.ask(1, nil); got != maxGain*sent {
		t.Errorf("%d bytes for %d after the strain", got, sent)
	}
}

// Under strain, and a second later, nobody may send more than two seconds' worth at once, and what
// he has sent before counts.
func TestBurstsAreShortUnderStrain(t *testing.T) {
	s := newStrainLab(t, NewLimiter(10, 100, 64, rand.New(rand.NewPCG(1, 2))))
	for i := range 4 {
		s.ask(i, []byte("token"))
	}
	s.now = s.now.Add(knownBefore + sightingTick)
	burst := func(from int) (n int) {
		for range 200 {
			if _, got := s.ask(from, nil); got > 0 {
				n++
			}
		}
		return n
	}
	if n := burst(1); n != 100 {
		t.Errorf("a burst of %d, want 100", n)
	}
	s.transport.strained = true
	if n := burst(1); n != 0 {
		t.Errorf("%d more under strain", n)
	}
	if n := burst(2); n != 20 {
		t.Errorf("a burst of %d under strain, want 20", n)
	}
	s.now = s.now.Add(500 * time.Millisecond)
	if n := burst(2); n != 5 {
		t.Errorf("%d within half a second under strain, want 5", n)
	}
	s.transport.strained = false
	s.now = s.now.Add(time.Second)
	if n := burst(2); n != 10 {
		t.Errorf("%d within the second after the strain, want 10", n)
	}
	s.now = s.now.Add(time.Second)
	if n := burst(2); n != 90 {
		t.Errorf("%d after that, want the rest of 100", n)
	}
}

func TestServingUnderStrainAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := newStrainLab(t, NewLimiter(1e6, 1e6, 64, rand.New(rand.NewPCG(1, 2))))
	s.transport.strained = true
	s.endpoint.cfg.Handler = pong{}
	m := Message{Kind: KindQuery, Method: MethodPing, TID: []byte("a"), HasID: true}
	b, out := m.Append(nil), &lastReply{}
	from := netip.AddrPortFrom(provenAddr(1), 1)
	if n := testing.AllocsPerRun(1000, func() { s.endpoint.Deliver(s.now, from, b, out) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

type pong struct{}

func (pong) ServeKRPC(*Request) error { return nil }

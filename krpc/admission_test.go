package krpc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// The parts of scenarios of floods.
const (
	client   = 1 + iota // asks now and then
	known               // has proved his address
	newcomer            // asks for the first time in the flood
	greedy              // asks more than the limit allows
)

// newFlooded returns a lab in which so much time has passed since client has asked and known has
// proved his address, and the flood begins.
func newFlooded(t *testing.T, after time.Duration) *strainLab {
	s := newStrainLab(t, NewLimiter(10, 100, 1<<14, rand.New(rand.NewPCG(1, 2))))
	s.ask(client, nil)
	s.ask(known, []byte("token"))
	s.now = s.now.Add(after)
	s.transport.strained = true
	s.flood(1_000, 1) // somebody is the first
	return s
}

// gets returns how many of n queries in a row are answered, and how many of these with long replies, while
// from comes n times after each hundred datagrams of a flood.
func (s *strainLab) gets(from, n int, token []byte) (answered, long int) {
	for range n {
		s.now = s.now.Add(200 * time.Millisecond)
		s.flooded += 100
		s.flood(10_000+s.flooded, 100)
		query, reply := s.ask(from, token)
		if reply > 0 {
			answered++
		}
		if reply > strainedGain*query {
			long++
		}
	}
	return answered, long
}

// prefers tells whether the transport is to deliver what from asks.
func (s *strainLab) prefers(from int) bool { return s.transport.preferred(s.now).Has(provenAddr(from)) }

// Whoever was known before a flood is answered as ever, and who had asked before is answered.
func TestAFloodStarvesNobodyOfBefore(t *testing.T) {
	for _, after := range []time.Duration{knownBefore + sightingTick, 10 * time.Minute, provenAge - 10*time.Second} {
		s := newFlooded(t, after)
		if answered, long := s.gets(known, 20, nil); answered != 20 || long != 20 {
			t.Errorf("%v later: %d of 20 queries of who is known are answered, %d at length", after, answered, long)
		}
		if answered, long := s.gets(client, 20, nil); answered != 20 || long != 0 {
			t.Errorf("%v later: %d of 20 queries of who had asked are answered, %d at length", after, answered, long)
		}
		if !s.prefers(known) || !s.prefers(client) || s.prefers(newcomer) {
			t.Errorf("%v later: who is known, who has asked and who has not are preferred: %v, %v, %v",
				after, s.prefers(known), s.prefers(client), s.prefers(newcomer))
		}
	}
}

// Who was heard of when the flood was on its way, and who was last heard of an hour ago, is as good
// as nobody, until he keeps asking.
func TestWhoComesWithAFloodIsNotKnown(t *testing.T) {
	for _, after := range []time.Duration{0, knownBefore / 2, 2 * provenAge} {
		s := newFlooded(t, after)
		for _, from := range []int{known, client} {
			if s.ask(from, nil); s.prefers(from) {
				t.Errorf("%v later: %d is preferred", after, from)
			}
		}
	}
}

// Whoever comes in a flood is answered once he keeps asking: at length if he proves his address.
func TestNewcomersBecomeRegularsInAFlood(t *testing.T) {
	s := newFlooded(t, time.Minute)
	for i := range 10 { // within two seconds
		if s.ask(newcomer, nil); i < 4 && s.prefers(newcomer) {
			t.Errorf("is preferred at his %d. query", i+1)
		}
		s.now = s.now.Add(200 * time.Millisecond)
	}
	if !s.prefers(newcomer) {
		t.Error("keeps asking, and is not preferred")
	}
	if answered, long := s.gets(newcomer, 20, nil); answered < 19 || long > 0 {
		t.Errorf("%d of 20 queries of who keeps asking are answered, %d at length", answered, long)
	}
	s.ask(newcomer, []byte("token"))
	if answered, long := s.gets(newcomer, 20, nil); answered < 19 || long != answered {
		t.Errorf("%d of 20 queries of who has proved his address are answered, %d at length", answered, long)
	}
}

// Many real hosts that prove their addresses, and then ask as much as they can, take their share.
func TestABotnetIsRationed(t *testing.T) {
	const bots = 1000
	s := newFlooded(t, time.Minute)
	for i := range bots {
		s.ask(1_000+i, []byte("token"))
	}
	answered := s.flood(1_000, bots)
	if most := bots/returnShare + rationBurst; answered > most {
		t.Errorf("%d of %d are answered, want %d at most", answered, bots, most)
	}
	if _, reply := s.ask(known, nil); reply == 0 {
		t.Error("who is known is not answered")
	}
}

// Who asks too much under strain is nobody any more.
func TestWhoAsksTooMuchIsForgotten(t *testing.T) {
	for _, token := range [][]byte{nil, []byte("token")} {
		s := newStrainLab(t, NewLimiter(10, 100, 1<<14, rand.New(rand.NewPCG(1, 2))))
		s.ask(greedy, token)
		s.now = s.now.Add(time.Minute)
		s.transport.strained = true
		s.flood(1_000, 1000)
		for i := range 30 {
			s.ask(greedy, nil)
			if got := s.prefers(greedy); got != (i < 20) {
				t.Errorf("%d. query at once: preferred: %v", i+1, got)
			}
		}
	}
}

// Regulars that are too many to tell them from others are preferred no more, but who is known is; if
// these are too many, who asks is, be he known or not.
func TestTooManyArePreferredNoMore(t *testing.T) {
	const tooMany, other = 8_000, 500_000
	s := newFlooded(t, time.Minute)
	s.endpoint.cfg.Proven.sets = NewProven(1<<16, rand.New(rand.NewPCG(1, 2))).sets
	s.endpoint.cfg.Proven.mask = uint64(len(s.endpoint.cfg.Proven.sets) - 1)
	asked := newSightings(1 << 16)
	s.endpoint.asked = &asked
	add := func(to *sightings, from int) { to.add(s.endpoint.cfg.Proven.hash(provenAddr(from)), s.now) }
	add(&s.endpoint.cfg.Proven.sightings, known)
	add(s.endpoint.asked, client)
	for i := range tooMany {
		add(s.endpoint.asked, other+i)
	}
	s.now = s.now.Add(10 * time.Minute)
	s.ask(client, nil)
	if s.prefers(client) || !s.prefers(known) {
		t.Errorf("with too many regulars, one and who is known are preferred: %v, %v", s.prefers(client), s.prefers(known))
	}
	for i := range tooMany {
		add(&s.endpoint.cfg.Proven.sightings, other+i)
	}
	s.now = s.now.Add(10 * time.Minute)
	s.ask(client, nil)
	if !s.prefers(client) || s.prefers(known) {
		t.Errorf("with too many who are known, one who asks and one who does not are preferred: %v, %v", s.prefers(client), s.prefers(known))
	}
}

// Who asked long before a flood, and no more, is nobody in it, also when it has lasted for a while:
// else whoever forges sources a day before has regulars in it.
func TestWhoAskedLongAgoIsNobody(t *testing.T) {
	s := newFlooded(t, 5*time.Hour)
	s.now = s.now.Add(time.Second)
	s.flood(20_000, 1000)
	if s.ask(client, nil); s.prefers(client) {
		t.Error("one query makes him a regular")
	}
}

// Whoever asks too much in the name of somebody else takes his place from him, not his proof.
func TestAProofOutlivesWhoAsksInItsName(t *testing.T) {
	s := newFlooded(t, 10*time.Minute)
	for range 21 {
		s.ask(known, nil)
	}
	if s.prefers(known) {
		t.Error("is preferred, though he asks too much")
	}
	if !s.endpoint.cfg.Proven.Has(provenAddr(known), s.now) {
		t.Error("has to prove his address again")
	}
}

// What was allowed before a flood is not held against anybody in it.
func TestABurstBeforeAFloodIsForgiven(t *testing.T) {
	s := newStrainLab(t, NewLimiter(10, 100, 1<<14, rand.New(rand.NewPCG(1, 2))))
	s.ask(known, []byte("token"))
	s.now = s.now.Add(10 * time.Minute)
	for range 40 {
		s.ask(known, nil)
	}
	s.transport.strained = true
	s.flood(1_000, 100)
	if s.ask(known, nil); !s.prefers(known) {
		t.Error("who was known is not preferred")
	}
}

// A query whose first key is not the arguments' is of nobody who sorts his keys (BEP 3), and is dropped
// under strain: the kernel would let all such in.
func TestDisguisedQueriesAreDroppedUnderStrain(t *testing.T) {
	s := newFlooded(t, 10*time.Minute)
	q := "d1:r0:1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
	before := s.endpoint.Stats().Drops[DropStrained]
	s.endpoint.Deliver(s.now, netip.AddrPortFrom(provenAddr(known), 1), []byte(q), &lastReply{})
	if got := s.endpoint.Stats().Drops[DropStrained] - before; got != 1 {
		t.Errorf("%d dropped", got)
	}
}

// Forged sources that ask a few times a second each take nothing from who had asked before.
func TestPatientForgersStarveNobodyOfBefore(t *testing.T) {
	for _, forged := range []int{4_000, 60_000} {
		if raceEnabled && forged > 4_000 {
			break // one goroutine, and a million datagrams
		}
		r, tr := rand.New(rand.NewPCG(1, 2)), &strainedTransport{}
		e := NewEndpoint(EndpointConfig{Transport: tr, Clock: SystemClock{}, Handler: talker{}, Rand: r,
			Limiter: NewLimiter(10, 100, DefaultLimiterCells, r), Proven: NewProven(DefaultProvenCells, r)})
		now, out := time.Now(), &lastReply{}
		q := (&Message{Kind: KindQuery, Method: MethodPing, TID: []byte("a"), HasID: true}).Append(nil)
		answers := func(i int) bool {
			out.size = 0
			e.Deliver(now, netip.AddrPortFrom(provenAddr(i), 1), q, out)
			return out.size > 0
		}
		const honest = 200
		for i := range honest {
			answers(i)
		}
		now = now.Add(time.Minute)
		tr.strained = true
		asked, answered := 0, 0
		for i := range 25 * forged { // five times a second each, for five seconds
			now = now.Add(time.Second / time.Duration(5*forged))
			answers(1_000_000 + i%forged)
			if i > 10*forged && i%500 == 0 {
				asked++
				if answers(i / 500 % honest) {
					answered++
				}
			}
		}
		preferred := 0
		for i := range honest {
			if tr.preferred(now).Has(provenAddr(i)) {
				preferred++
			}
		}
		t.Logf("%d forged sources: %d of %d answered, %d of %d preferred", forged, answered, asked, preferred, honest)
		if answered < asked*99/100 || preferred < honest*99/100 {
			t.Error("too few")
		}
	}
}

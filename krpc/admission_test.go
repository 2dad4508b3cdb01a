package krpc

import (
	"math/rand/v2"
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
	for _, after := range []time.Duration{knownBefore + provenTick, 10 * time.Minute, provenAge - 10*time.Second} {
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
	s.endpoint.asked = NewProven(1<<16, rand.New(rand.NewPCG(1, 2)))
	add := func(to *Proven, from int) { to.add(s.endpoint.cfg.Proven.hash(provenAddr(from)), s.now) }
	add(s.endpoint.cfg.Proven, known)
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
		add(s.endpoint.cfg.Proven, other+i)
	}
	s.now = s.now.Add(10 * time.Minute)
	s.ask(client, nil)
	if !s.prefers(client) || s.prefers(known) {
		t.Errorf("with too many who are known, one who asks and one who does not are preferred: %v, %v", s.prefers(client), s.prefers(known))
	}
}

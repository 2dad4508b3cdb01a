package krpc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// flood has so many sources ask one query each under strain, from the first on.
func (s *strainLab) flood(first, sources int) (answered int) {
	for i := range sources {
		if _, got := s.ask(first+i, nil); got > 0 {
			answered++
		}
	}
	return answered
}

// Of a flood of queries that never come twice from one address one in 16 is answered. A stranger
// who asks now and then in the midst of it loses his first query, at worst.
func TestStrangersWhoReturnAreAnsweredInAFlood(t *testing.T) {
	const client, second, rounds = 1, 10_000, 5
	s := newStrainLab(t, nil)
	s.transport.strained = true
	answered, lost := 0, 0
	for i := range 10 * rounds {
		answered += s.flood(1_000+i*second/10, second/10)
		if _, got := s.ask(client, nil); got == 0 {
			lost++
		}
		s.now = s.now.Add(time.Second / 10)
	}
	if lost > 1 {
		t.Errorf("%d queries of the client are lost", lost)
	}
	if share := float64(answered) / (rounds * second); share < .9/strangerShare || share > 1.1/strangerShare {
		t.Errorf("%.3f of the flood is answered", share)
	}
}

// A flood that comes again and again from the same sources does not take all of the time.
func TestAFloodThatReturnsIsRationed(t *testing.T) {
	s := newStrainLab(t, nil)
	s.transport.strained = true
	s.flood(1_000, 1_000)
	if n := s.flood(1_000, 1_000); n < 1_000/returnShare || n > 1_000/returnShare+rationBurst {
		t.Errorf("%d of 1000 are answered", n)
	}
}

// Under datagrams that make no sense strangers are answered, briefly.
func TestJunkKeepsNobodyFromBeingAnswered(t *testing.T) {
	s := newStrainLab(t, nil)
	s.transport.strained = true
	for i := range 20 {
		for range strangerShare {
			s.endpoint.Deliver(s.now, netip.AddrPortFrom(provenAddr(500), 1), []byte("junk"), &lastReply{})
		}
		if _, got := s.ask(i, nil); got == 0 {
			t.Errorf("stranger %d has no answer", i)
		}
	}
}

// Before the first strain nobody is noted, and nothing is kept for it.
func TestStrangersCostNothingInCalm(t *testing.T) {
	s := newStrainLab(t, nil)
	s.ask(1, nil)
	if s.endpoint.strangers.noted.Load() != nil {
		t.Error("there is memory for strangers")
	}
}

// Returners are known in the same tick and in the next one, whatever the tick, and are steady once
// they were noted in both.
func TestReturnersAreForgottenAfterTwoTicks(t *testing.T) {
	for _, tick := range []uint64{1, 2, 1<<16 - 1, 1 << 16, 1<<16 + 1} {
		r, h := new(returners), uint64(0x0123456789abcdef)
		for _, step := range []struct {
			after uint64
			want  standing
		}{
			{0, standingFirst}, {0, standingReturned}, {0, standingReturned}, {1, standingReturned},
			{1, standingSteady}, {2, standingReturned}, {4, standingFirst},
		} {
			if got := r.note(h, tick+step.after); got != step.want {
				t.Errorf("tick %d, %d later: standing %d, want %d", tick, step.after, got, step.want)
			}
		}
	}
}

// What a query costs in calm and under strain, without what the kernel takes and what it asks for.
func BenchmarkDeliver(b *testing.B) {
	m := Message{Kind: KindQuery, Method: MethodGetPeers, TID: []byte("aa"), HasID: true, HasInfoHash: true}
	query := m.Append(nil)
	for _, bc := range []struct {
		name             string
		strained, proven bool
	}{{"calm", false, false}, {"known", true, true}, {"strangers", true, false}} {
		b.Run(bc.name, func(b *testing.B) {
			s := newStrainLab(nil, NewLimiter(DefaultSourceRate, DefaultSourceBurst, DefaultLimiterCells, rand.New(rand.NewPCG(1, 2))))
			s.endpoint.cfg.Handler = pong{}
			s.endpoint.cfg.Proven = NewProven(DefaultProvenCells, rand.New(rand.NewPCG(3, 4)))
			asked := newSightings(DefaultProvenCells)
			s.endpoint.asked = &asked
			out, n, sources := &lastReply{}, 0, 1<<12
			if bc.strained && !bc.proven {
				sources = 1 << 20
			}
			for i := 0; bc.proven && i < sources; i++ {
				s.endpoint.cfg.Proven.Add(provenAddr(i), s.now)
			}
			s.now = s.now.Add(time.Minute)
			s.transport.strained = bc.strained
			b.ReportAllocs()
			for b.Loop() {
				from := netip.AddrPortFrom(provenAddr(n%sources), 1)
				if n++; n%64 == 0 { // 500 000 a second
					s.now = s.now.Add(128 * time.Microsecond)
				}
				s.endpoint.Deliver(s.now, from, query, out)
			}
		})
	}
}

package tracker

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

func TestAnnounceGoesToTheClosest(t *testing.T) {
	w := newWorld(t, 80, Config{})
	ih, m := w.randomHash(), w.members[5]
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	closest := slices.Clone(w.members)
	closest = slices.DeleteFunc(closest, func(o *member) bool { return o == m })
	slices.SortFunc(closest, func(a, b *member) int { return krpc.CompareDistance(a.node.ID(), b.node.ID(), ih) })
	hit := 0
	for _, h := range w.holders(ih) {
		if slices.Contains(closest[:8], h) {
			hit++
		}
	}
	if hit < 7 {
		t.Errorf("%d of the 8 closest nodes have the peer", hit)
	}
	if st := m.Stats(); st.Announces != 1 || st.AnnouncesFailed != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestImpliedPort(t *testing.T) {
	w := newWorld(t, 20, Config{})
	m := w.any()
	ih := w.randomHash()
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001, ImpliedPort: true})
	w.wantFound(w.any(), ih, m.addr)
	ih = w.randomHash()
	w.mustAnnounce(m, ih, AnnounceOptions{ImpliedPort: true})
	w.wantFound(w.any(), ih, m.addr)
}

func TestImpliedPortComesWithATruePort(t *testing.T) {
	var got []*krpc.Message
	s := newStubs(t, 1, func(_ *stub, q, _ *krpc.Message) {
		if q.Method == krpc.MethodAnnouncePeer {
			got = append(got, q.Clone())
		}
	})
	ih := s.w.randomHash()
	s.w.announce(s.m, ih, AnnounceOptions{ImpliedPort: true, Seed: true})
	s.w.announce(s.m, ih, AnnounceOptions{ImpliedPort: true, Port: 4001})
	s.w.announce(s.m, ih, AnnounceOptions{Port: 4001})
	if len(got) != 3 {
		t.Fatalf("%d announces", len(got))
	}
	for i, want := range []struct {
		port          uint16
		implied, seed bool
	}{{s.m.addr.Port(), true, true}, {4001, true, false}, {4001, false, false}} {
		q := got[i]
		if q.Port != want.port || q.ImpliedPort != want.implied || q.Seed != want.seed || q.InfoHash != ih || string(q.Token) != "token" {
			t.Errorf("announce %d: %+v, want %+v", i, q, want)
		}
	}
}

func TestPort0IsNotAnnounced(t *testing.T) {
	w := newWorld(t, 1, Config{})
	m := w.any()
	_, err := m.AnnouncePeer(w.randomHash(), AnnounceOptions{}, nil, func(AnnounceResult) { t.Error("called") })
	if err != ErrNoPort {
		t.Errorf("announce: %v, want ErrNoPort", err)
	}
	if err := m.Track(w.randomHash(), AnnounceOptions{}); err != ErrNoPort {
		t.Errorf("track: %v, want ErrNoPort", err)
	}
}

func TestAnnounceWithoutNeighboursFails(t *testing.T) {
	w := newWorld(t, 1, Config{})
	m := w.any()
	if res := w.announce(m, w.randomHash(), AnnounceOptions{Port: 1}); res.Asked != 0 || res.Lookups[0].Err != nil {
		t.Errorf("result %+v", res)
	}
	if st := m.Stats(); st.Announces != 1 || st.AnnouncesFailed != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestNodesWithoutAUsableTokenAreLeftOut(t *testing.T) {
	tokens := [][]byte{nil, {}, bytes.Repeat([]byte("x"), 129)}
	withheld := map[*stub][]byte{}
	s := newStubs(t, 16, func(s *stub, q, r *krpc.Message) {
		if token, ok := withheld[s]; ok && r.Token != nil {
			r.Token = token
		}
	})
	ih := s.w.randomHash()
	slices.SortFunc(s.list, func(a, b *stub) int { return krpc.CompareDistance(a.ID, b.ID, ih) })
	for i, token := range tokens {
		withheld[s.list[i]] = token
	}
	res := s.w.announce(s.m, ih, AnnounceOptions{Port: 4001})

	// The lookup ends when the 8 closest have replied; others may have, too.
	got := s.asked(krpc.MethodAnnouncePeer, ih)
	if len(got) < 5 || !slices.Equal(got[:5], s.list[3:8]) {
		t.Errorf("announced to %d nodes, want first those that gave a good token", len(got))
	}
	want := min(8, res.Lookups[0].Replies-len(tokens))
	if len(got) != want || res.Asked != want || res.Stored != want {
		t.Errorf("announced to %d nodes, stored %d of %d, want %d", len(got), res.Stored, res.Asked, want)
	}
}

func TestStaleTokenIsRenewedOnce(t *testing.T) {
	s := newStubs(t, 2, func(s *stub, q, r *krpc.Message) {
		switch q.Method {
		case krpc.MethodGetPeers:
			if s.asked[q.Method] > 1 {
				r.Token = []byte("fresh")
			}
		case krpc.MethodAnnouncePeer:
			if string(q.Token) != "fresh" {
				r.ErrorCode, r.ErrorText = krpc.CodeProtocol, []byte("bad token")
			}
		}
	})
	ih := s.w.randomHash()
	if res := s.w.announce(s.m, ih, AnnounceOptions{Port: 4001}); res.Stored != 2 || res.Asked != 2 {
		t.Errorf("stored %d of %d, want 2 of 2", res.Stored, res.Asked)
	}
	for _, s := range s.list {
		if s.asked[krpc.MethodGetPeers] != 2 || s.asked[krpc.MethodAnnouncePeer] != 2 {
			t.Errorf("%d get_peers, %d announce_peer, want 2 of each", s.asked[krpc.MethodGetPeers], s.asked[krpc.MethodAnnouncePeer])
		}
	}
}

func TestNodeThatGivesNoOtherTokenHasRefused(t *testing.T) {
	s := newStubs(t, 1, func(s *stub, q, r *krpc.Message) {
		switch {
		case q.Method == krpc.MethodAnnouncePeer:
			r.ErrorCode = krpc.CodeProtocol
		case s.asked[krpc.MethodAnnouncePeer] > 0:
			r.Token = nil
		}
	})
	res := s.w.announce(s.m, s.w.randomHash(), AnnounceOptions{Port: 4001})
	if n := s.list[0].asked[krpc.MethodAnnouncePeer]; n != 1 || len(res.Failures) != 1 {
		t.Fatalf("%d announces, result %+v", n, res)
	}
	var refused *krpc.Error
	if !errors.As(res.Failures[0].Err, &refused) || refused.Code != krpc.CodeProtocol {
		t.Errorf("failed with %v, want 203", res.Failures[0].Err)
	}
}

func TestRefusalsAreReported(t *testing.T) {
	s := newStubs(t, 3, nil)
	answers := map[*stub]int64{s.list[0]: krpc.CodeProtocol, s.list[1]: krpc.CodeServer}
	s.answer = func(s *stub, q, r *krpc.Message) {
		if q.Method == krpc.MethodAnnouncePeer {
			r.ErrorCode = answers[s]
		}
	}
	res := s.w.announce(s.m, s.w.randomHash(), AnnounceOptions{Port: 4001})
	if res.Stored != 1 || res.Asked != 3 || len(res.Failures) != 2 {
		t.Fatalf("result %+v", res)
	}
	for _, f := range res.Failures {
		i := slices.IndexFunc(s.list, func(s *stub) bool { return s.NodeInfo == f.Node })
		var refused *krpc.Error
		if i < 0 || !errors.As(f.Err, &refused) || refused.Code != answers[s.list[i]] {
			t.Errorf("node %d failed with %v", i, f.Err)
		}
	}
	if n := s.list[0].asked[krpc.MethodAnnouncePeer]; n != 2 {
		t.Errorf("%d announces to the one with 203, want another try and no more", n)
	}
	if n := s.list[1].asked[krpc.MethodAnnouncePeer]; n != 1 {
		t.Errorf("%d announces to the one with 202, want 1", n)
	}
}

func TestStoppedAnnounceEndsAtOnce(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second} {
		s := newStubs(t, 4, nil)
		s.silent = krpc.MethodAnnouncePeer
		ended := 0
		stop, err := s.m.AnnouncePeer(s.w.randomHash(), AnnounceOptions{Port: 1}, nil, func(res AnnounceResult) {
			ended++
			if res.Stored != 0 || len(res.Failures) != res.Asked || after == 5*time.Second && res.Asked != 4 {
				t.Errorf("after %v: result %+v", after, res)
			}
			for _, f := range res.Failures {
				if f.Err != kademlia.ErrStopped {
					t.Errorf("failure %v", f.Err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		s.w.clock.Run(after)
		stop()
		stop()
		if ended != 1 {
			t.Errorf("after %v: %d results", after, ended)
		}
		s.w.clock.Run(time.Minute)
		if st := s.m.Stats(); ended != 1 || st.Announces != 0 {
			t.Errorf("after %v: %d results, stats %+v", after, ended, st)
		}
	}
}

func TestAnnounceTellsOfPeers(t *testing.T) {
	w := newWorld(t, 20, Config{})
	ih := w.randomHash()
	w.mustAnnounce(w.members[1], ih, AnnounceOptions{Port: 4001})
	var peers []netip.AddrPort
	var res AnnounceResult
	if _, err := w.members[2].AnnouncePeer(ih, AnnounceOptions{Port: 4002}, func(p netip.AddrPort) {
		peers = append(peers, p)
	}, func(r AnnounceResult) { res = r }); err != nil {
		t.Fatal(err)
	}
	w.clock.Run(time.Minute)
	if !slices.Equal(peers, []netip.AddrPort{w.members[1].at(4001)}) || res.Peers != 1 {
		t.Errorf("peers %v, result %+v", peers, res)
	}
}

// Who has just looked for peers announces himself at the nodes found, with their tokens.
func TestAnnounceAfterALookupOnlyStores(t *testing.T) {
	refuse := false
	ss := newStubs(t, 8, func(_ *stub, q, r *krpc.Message) {
		if refuse && q.Method == krpc.MethodAnnouncePeer {
			r.ErrorCode = krpc.CodeServer
		}
	})
	ih := hashOf(1)
	announce := func(reuse bool) (queries, stored int) {
		t.Helper()
		_, err := ss.m.AnnouncePeer(ih, AnnounceOptions{Port: 1, Reuse: reuse}, nil, func(res AnnounceResult) {
			queries, stored = res.Lookups[0].Queries, res.Stored
		})
		if err != nil {
			t.Fatal(err)
		}
		ss.w.clock.Run(20 * time.Second)
		return queries, stored
	}
	expect := func(what string, queries, stored, wantQueries, wantStored int) {
		t.Helper()
		if queries != wantQueries || stored != wantStored {
			t.Errorf("%s: %d queries of the lookup, stored at %d, want %d and %d", what, queries, stored, wantQueries, wantStored)
		}
	}
	ss.m.FindPeers(ih, nil, func(PeersResult) {})
	ss.w.clock.Run(time.Second)
	q, s := announce(true)
	expect("after a lookup", q, s, 0, 8)
	q, s = announce(false)
	expect("that does not want it", q, s, 8, 8)
	refuse = true
	q, s = announce(true)
	expect("that nobody takes", q, s, 0, 0)
	refuse = false
	q, s = announce(true)
	expect("after a failure", q, s, 8, 8)
	ss.w.clock.Run(5 * time.Minute)
	q, s = announce(true)
	expect("after five minutes", q, s, 8, 8)
}

package tracker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func (w *world) mustTrack(m *member, ih krpc.ID, o AnnounceOptions) {
	w.t.Helper()
	if err := m.Track(ih, o); err != nil {
		w.t.Fatal(err)
	}
}

// announces returns how many announces of m have ended in each of so many minutes.
func (w *world) announces(m *member, minutes int) []int {
	counts := make([]int, minutes)
	for i := range counts {
		before := m.Stats().Announces
		w.clock.Run(time.Minute)
		counts[i] = int(m.Stats().Announces - before)
	}
	return counts
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestTrackedIsKeptAliveUntilUntracked(t *testing.T) {
	w := newWorld(t, 40, Config{})
	m, ih := w.members[7], w.randomHash()
	w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
	w.clock.Run(20 * time.Second)
	for range 18 { // 3 hours
		w.wantFound(w.any(), ih, m.at(4001))
		w.clock.Run(10 * time.Minute)
	}
	if n := m.Stats().Announces; n < 12 || n > 14 {
		t.Errorf("%d announces in 3 hours, want one every 15 minutes", n)
	}
	m.Untrack(ih)
	w.clock.Run(46 * time.Minute)
	w.wantFound(w.any(), ih)
	if n := m.Tracked(); n != 0 {
		t.Errorf("%d tracked", n)
	}
}

func TestTrackedOutlivesTheNodesThatHoldIt(t *testing.T) {
	w := newWorld(t, 80, Config{})
	m, ih := w.members[0], w.randomHash()
	w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
	w.clock.Run(time.Minute)
	for _, h := range w.holders(ih) {
		w.kill(h)
	}
	w.clock.Run(17 * time.Minute)
	w.wantFound(w.any(), ih, m.at(4001))
}

// TestAnnouncesAreSpreadEvenly tracks everything at once, which is the worst case.
func TestAnnouncesAreSpreadEvenly(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	w := newWorld(t, 30, Config{})
	m := w.any()
	for range 1000 {
		w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 4001})
	}
	if first := w.announces(m, 1)[0]; first < 1000 {
		t.Errorf("%d announced in the first minute, want all", first)
	}
	counts := w.announces(m, 45)
	mean, peak := float64(sum(counts))/45, 0
	for _, c := range counts {
		peak = max(peak, c)
	}
	t.Logf("%.1f announces a minute, at most %d", mean, peak)
	if mean < 1000/16. || mean > 1000/14. {
		t.Errorf("%.1f announces a minute, want 1 000 in 15", mean)
	}
	if float64(peak) > 1.5*mean {
		t.Errorf("up to %d announces a minute, with a mean of %.1f", peak, mean)
	}
	if st := m.Stats(); st.AnnouncesFailed != 0 || st.Tracked != 1000 || st.AnnounceLag != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestNoTwoProgramsHaveTheSameSlots(t *testing.T) {
	w := newWorld(t, 10, Config{})
	ih := w.randomHash()
	for _, m := range w.members {
		w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
	}
	w.clock.Run(time.Minute)
	second := map[int]bool{} // the parts of the interval in which the second announces end
	for part := range 6 {
		before := make([]uint64, len(w.members))
		for i, m := range w.members {
			before[i] = m.Stats().Announces
		}
		w.clock.Run(3 * time.Minute)
		for i, m := range w.members {
			if before[i] == 1 && m.Stats().Announces > 1 {
				second[part] = true
			}
		}
	}
	if len(second) < 3 {
		t.Errorf("all second announces are in the parts %v of six", second)
	}
}

func TestLookupsOfAnnouncesAreCapped(t *testing.T) {
	w := newWorld(t, 30, Config{})
	m := w.any()
	for range 1000 {
		w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 4001})
	}
	w.clock.Run(100 * time.Millisecond)
	st := m.Stats()
	if n := m.node.Stats().ActiveLookups; n < maxAnnouncing || n > maxAnnouncing+2 || st.Announcing != maxAnnouncing {
		t.Errorf("%d lookups and %d announces under way, want %d", n, st.Announcing, maxAnnouncing)
	}
	if st.AnnounceLag != 100*time.Millisecond {
		t.Errorf("lag %v", st.AnnounceLag)
	}
	w.clock.Run(time.Minute)
	// By now the first of them have been due again.
	if st := m.Stats(); st.Announces < 1000 || st.Announcing > 10 || st.AnnounceLag != 0 || m.announcer.Stats().Places > st.Announcing {
		t.Errorf("stats %+v, %d lookups", st, m.announcer.Stats().Places)
	}
}

func TestLostStoresHoldUpNoLookup(t *testing.T) {
	s := newStubs(t, 10, nil)
	s.silent = krpc.MethodAnnouncePeer
	for range 2 * maxAnnouncing {
		s.w.mustTrack(s.m, s.w.randomHash(), AnnounceOptions{Port: 4001})
	}
	if !s.w.clock.RunUntil(func() bool { return s.m.Stats().Announcing == 2*maxAnnouncing }, 9*time.Second) {
		t.Errorf("%d announces under way", s.m.Stats().Announcing)
	}
}

// failures runs until so many announces have failed, and returns how long each
// came after the one before.
func (w *world) failures(m *member, n int) (waits []time.Duration) {
	w.t.Helper()
	last := w.clock.Now()
	for range n {
		before := m.Stats().AnnouncesFailed
		if !w.clock.RunUntil(func() bool { return m.Stats().AnnouncesFailed > before }, time.Hour) {
			w.t.Fatal("no announce has failed for an hour")
		}
		waits = append(waits, w.clock.Now().Sub(last))
		last = w.clock.Now()
	}
	return waits
}

func TestFailedAnnounceIsRetriedWithBackoff(t *testing.T) {
	s := newStubs(t, 3, nil)
	refuse := func(_ *stub, q, r *krpc.Message) {
		if q.Method == krpc.MethodAnnouncePeer {
			r.ErrorCode = krpc.CodeServer
		}
	}
	s.answer = refuse
	s.w.mustTrack(s.m, s.w.randomHash(), AnnounceOptions{Port: 4001})
	for i, got := range s.w.failures(s.m, 7) {
		want := []time.Duration{0, 1, 2, 4, 8, 15, 15}[i] * time.Minute
		if got < want*3/4 || got > want*5/4+3*time.Second {
			t.Errorf("try %d came after %v, want about %v", i+1, got, want)
		}
	}
	s.answer = nil
	s.w.clock.Run(20 * time.Minute)
	if counts := s.w.announces(s.m, 60); sum(counts) < 3 || sum(counts) > 5 {
		t.Errorf("%d announces in the hour after, want 4", sum(counts))
	}
	s.answer = refuse
	if got := s.w.failures(s.m, 2)[1]; got > 80*time.Second {
		t.Errorf("the first retry came after %v, want a minute again", got)
	}
}

func TestAnnouncesWaitUntilTheNodeHasJoined(t *testing.T) {
	w := newWorld(t, 20, Config{})
	first := w.members[0]
	first.host.SetDown(true)
	m := w.add(Config{}, first.addr)
	ih := w.randomHash()
	w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
	w.clock.Run(10 * time.Minute)
	if st := m.Stats(); st.Announces != 0 || st.AnnounceLag != 10*time.Minute {
		t.Errorf("before it has joined: %+v", st)
	}
	first.host.SetDown(false)
	w.clock.Run(3 * time.Minute)
	w.wantFound(w.members[5], ih, m.at(4001))
}

func TestNothingIsAnnouncedBeforeStart(t *testing.T) {
	w := newWorld(t, 20, Config{})
	m := w.newMember(Config{}, w.any().addr)
	m.node.Start()
	w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 4001})
	w.clock.Run(time.Minute)
	if st := m.Stats(); st.Announces != 0 || st.Tracked != 1 {
		t.Errorf("before Start: %+v", st)
	}
	m.Start()
	m.Start()
	w.clock.Run(time.Minute)
	if st := m.Stats(); st.Announces != 1 {
		t.Errorf("after Start: %+v", st)
	}
}

func TestTooManyAreRefused(t *testing.T) {
	w := newWorld(t, 10, Config{MaxTracked: 2})
	m, o := w.any(), AnnounceOptions{Port: 4001}
	w.mustTrack(m, hashOf(1), o)
	w.mustTrack(m, hashOf(2), o)
	if err := m.Track(hashOf(3), o); err != ErrTooMany {
		t.Errorf("the third: %v, want ErrTooMany", err)
	}
	w.mustTrack(m, hashOf(2), AnnounceOptions{Port: 4002})
	m.Untrack(hashOf(1))
	m.Untrack(hashOf(1))
	w.mustTrack(m, hashOf(3), o)
	if st := m.Stats(); st.Tracked != 2 || st.MaxTracked != 2 || m.Tracked() != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestOtherOptionsAreAnnouncedAtOnce(t *testing.T) {
	for _, after := range []time.Duration{0, 200 * time.Millisecond, time.Minute} {
		w := newWorld(t, 20, Config{})
		m, ih := w.members[3], w.randomHash()
		w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
		w.clock.Run(after)
		w.mustTrack(m, ih, AnnounceOptions{Port: 4002})
		w.mustTrack(m, ih, AnnounceOptions{Port: 4002})
		w.clock.Run(20 * time.Second)
		want := []netip.AddrPort{m.at(4002)}
		if after == time.Minute { // the old one had been announced by then
			want = append(want, m.at(4001))
		}
		w.wantFound(w.any(), ih, want...)
		if st := m.Stats(); st.Announcing != 0 || st.Tracked != 1 {
			t.Errorf("after %v: %+v", after, st)
		}
	}
}

func TestUntrackStopsTheAnnounceUnderWay(t *testing.T) {
	w := newWorld(t, 20, Config{})
	m, ih := w.any(), w.randomHash()
	w.mustTrack(m, ih, AnnounceOptions{Port: 4001})
	w.clock.Run(10 * time.Millisecond)
	if n := m.Stats().Announcing; n != 1 {
		t.Fatalf("%d announces under way, want 1", n)
	}
	m.Untrack(ih)
	if st := m.Stats(); st.Announcing != 0 || m.announcer.Stats().Places != 0 {
		t.Errorf("stats %+v", st)
	}
	w.clock.Run(time.Hour)
	if len(w.holders(ih)) != 0 || m.Stats().Announces != 0 {
		t.Error("announced nevertheless")
	}
}

func TestCloseEndsTheAnnouncer(t *testing.T) {
	w := newWorld(t, 20, Config{})
	m := w.any()
	for range 100 {
		w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 4001})
	}
	w.clock.Run(100 * time.Millisecond)
	m.Close()
	m.Close()
	if st := m.Stats(); st.Announcing != 0 {
		t.Errorf("stats %+v", st)
	}
	if err := m.Track(w.randomHash(), AnnounceOptions{Port: 4001}); err != ErrClosed {
		t.Errorf("tracks after Close: %v", err)
	}
	m.Start()
	w.clock.Run(time.Hour)
	if st := m.Stats(); st.Announces != 0 {
		t.Errorf("%d announces by a closed tracker", st.Announces)
	}
}

func TestWorldsRepeatThemselves(t *testing.T) {
	run := func() uint64 {
		w := newWorld(t, 20, Config{})
		for range 50 {
			w.mustTrack(w.any(), w.randomHash(), AnnounceOptions{Port: 4001})
		}
		w.clock.Run(20 * time.Minute)
		w.kill(w.any())
		w.clock.Run(20 * time.Minute)
		return w.net.TraceHash()
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs of one seed differ: %x, %x", a, b)
	}
}

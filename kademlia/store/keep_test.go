package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// library is a world in which every node keeps items. The first publishes some.
type library struct {
	*sim.World
	t     testing.TB
	items []*Items // of the hosts, in their order
	first *Items
	log   bytes.Buffer // of the first
}

func newLibrary(t testing.TB, nodes int, cfg Config) *library {
	t.Helper()
	if raceEnabled {
		t.Skip("hours of a network in one goroutine")
	}
	l := &library{t: t}
	l.World = sim.Build(sim.Config{Nodes: nodes, Seed: 1, Setup: func(n *kademlia.Node) {
		c := cfg
		c.Rand = rand.New(rand.NewPCG(1, uint64(len(l.items))))
		c.Log = slog.New(slog.DiscardHandler)
		if len(l.items) == 0 {
			c.Log = slog.New(slog.NewTextHandler(&l.log, nil))
		}
		s := New([]*kademlia.Node{n}, c)
		s.Start()
		l.items = append(l.items, s)
	}}, 200*time.Millisecond, 5*time.Minute)
	l.first = l.items[0]
	return l
}

// version returns a version of the one mutable item of the tests.
func version(t testing.TB, seq int64, value string) Item {
	t.Helper()
	it, err := Sign(owner, []byte("news"), seq, fmt.Appendf(nil, "%d:%s", len(value), value))
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func (l *library) mustKeep(it Item) {
	l.t.Helper()
	if err := l.first.Keep(it, KeepOptions{}); err != nil {
		l.t.Fatal(err)
	}
}

// holders returns the hosts that hold the very item.
func (l *library) holders(it Item) (holders []*sim.Host) {
	for i, s := range l.items {
		held, _, ok := s.shelves[0].get(it.Target(), l.Clock.Now())
		if ok && !l.Hosts[i].Down && held.Seq == it.Seq && bytes.Equal(held.V, it.V) {
			holders = append(holders, l.Hosts[i])
		}
	}
	return holders
}

// wantHolders checks that k nodes hold the item, give or take one that was not found.
func (l *library) wantHolders(it Item) {
	l.t.Helper()
	if n := len(l.holders(it)); n < kademlia.DefaultK-1 {
		l.t.Errorf("after %v the item has %d holders", l.Clock.Now(), n)
	}
}

func (l *library) wantNoHolders(it Item) {
	l.t.Helper()
	if n := len(l.holders(it)); n > 0 {
		l.t.Errorf("after %v the item has %d holders", l.Clock.Now(), n)
	}
}

func TestKeptItemIsPutEveryHourUntilUnkept(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	fixed, err := Immutable([]byte("5:hello"))
	if err != nil {
		t.Fatal(err)
	}
	news := version(t, 1, "first")
	l.mustKeep(fixed)
	l.mustKeep(news)
	l.Clock.Run(20 * time.Second)
	for range 24 { // 12 hours
		l.wantHolders(fixed)
		l.wantHolders(news)
		l.Clock.Run(30 * time.Minute)
	}
	st := l.first.Stats()
	if st.KeepPuts < 24 || st.KeepPuts > 27 || st.KeepFailed > 0 || st.Kept != 2 || l.first.Kept() != 2 || st.KeepLag != 0 {
		t.Errorf("after 12 hours: %+v, want two puts an hour", st)
	}
	l.first.Unkeep(fixed.Target())
	l.Clock.Run(Life + time.Minute)
	l.wantNoHolders(fixed)
	l.wantHolders(news)
}

// Who keeps what he has just put need not have it put twice.
func TestKeptItemThatIsStoredIsNotPutAtOnce(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	it := version(t, 1, "first")
	l.first.PutItem(it, PutOptions{}, func(_ PutResult, err error) {
		if err == nil {
			err = l.first.Keep(it, KeepOptions{Stored: true})
		}
		if err != nil {
			t.Error(err)
		}
	})
	l.Clock.Run(20 * time.Second)
	if st := l.first.Stats(); st.Kept != 1 || st.KeepPuts != 0 || st.Keeping != 0 {
		t.Errorf("at first: %+v", st)
	}
	for range 24 { // 12 hours
		l.wantHolders(it)
		l.Clock.Run(30 * time.Minute)
	}
	if st := l.first.Stats(); st.KeepPuts < 11 || st.KeepPuts > 13 {
		t.Errorf("%d puts in 12 hours", st.KeepPuts)
	}
	l.mustKeep(version(t, 2, "second"))
	if err := l.first.Keep(it, KeepOptions{Stored: true}); !errors.Is(err, ErrOutdated) {
		t.Errorf("an older version: %v", err)
	}
}

func TestKeptItemOutlivesItsHolders(t *testing.T) {
	l := newLibrary(t, 60, Config{})
	it := version(t, 1, "first")
	l.mustKeep(it)
	l.Clock.Run(time.Minute)
	l.wantHolders(it)
	for _, h := range l.holders(it) {
		if h != l.Hosts[0] {
			l.Kill(h)
		}
	}
	l.Clock.Run(65 * time.Minute)
	l.wantHolders(it)
}

func TestNewerVersionTakesThePlaceOfTheOlder(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, 500 * time.Millisecond, time.Minute} {
		l := newLibrary(t, 30, Config{})
		older, newer := version(t, 1, "first"), version(t, 2, "second")
		l.mustKeep(older)
		l.Clock.Run(after)
		l.mustKeep(newer)
		l.mustKeep(newer)
		if err := l.first.Keep(older, KeepOptions{}); !errors.Is(err, ErrOutdated) {
			t.Errorf("keeps the older one again: %v", err)
		}
		if err := l.first.Keep(version(t, 2, "another"), KeepOptions{}); !errors.Is(err, ErrConflict) {
			t.Errorf("keeps another one of the same seq: %v", err)
		}
		l.Clock.Run(time.Minute)
		l.wantHolders(newer)
		l.Clock.Run(5 * time.Hour)
		l.wantHolders(newer)
		l.wantNoHolders(older)
		if st := l.first.Stats(); st.Kept != 1 || st.Keeping != 0 || st.KeepFailed != 0 || st.KeepOutdated != 0 {
			t.Errorf("after %v: %+v", after, st)
		}
	}
}

// TestUpdateByAnotherProgramEndsKeeping has two machines with one key.
func TestUpdateByAnotherProgramEndsKeeping(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	ours, theirs := version(t, 3, "ours"), version(t, 5, "theirs")
	l.mustKeep(ours)
	l.Clock.Run(time.Minute)
	if err := l.items[7].Keep(theirs, KeepOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Clock.Run(3 * time.Hour)
	l.wantHolders(theirs)
	l.wantNoHolders(ours)
	if st := l.first.Stats(); st.Kept != 0 || st.KeepOutdated != 1 {
		t.Errorf("stats %+v", st)
	}
	if got := l.log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "not kept any longer") {
		t.Errorf("logged %q, want one warning", got)
	}
	l.mustKeep(version(t, 6, "ours again"))
	l.Clock.Run(3 * time.Hour)
	l.wantHolders(version(t, 6, "ours again"))
	if n := l.items[7].Kept(); n != 0 {
		t.Errorf("the other one keeps %d items", n)
	}
}

// Two programs that have signed different values with one seq: one wins, and when it is
// gone the other takes over.
func TestRivalTakesOverInTheEnd(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	ours, theirs := version(t, 3, "ours"), version(t, 3, "theirs")
	if err := l.items[7].Keep(theirs, KeepOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Clock.Run(time.Minute)
	l.mustKeep(ours)
	l.Clock.Run(5 * time.Hour)
	l.wantHolders(theirs)
	l.wantNoHolders(ours)
	if st := l.first.Stats(); st.Kept != 1 || st.KeepFailed != st.KeepPuts || st.KeepFailed > 15 {
		t.Errorf("stats %+v", st)
	}
	l.items[7].Unkeep(theirs.Target())
	l.Clock.Run(Life + 70*time.Minute)
	l.wantHolders(ours)
}

func TestPutsOfKeptItemsSurviveFailure(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	it := version(t, 1, "first")
	l.Hosts[0].Net.SetDown(true)
	l.mustKeep(it)
	l.Clock.Run(10 * time.Minute)
	l.wantNoHolders(it)
	if st := l.first.Stats(); st.KeepFailed < 3 || st.KeepFailed != st.KeepPuts || st.Kept != 1 {
		t.Errorf("without a network: %+v", st)
	}
	l.Hosts[0].Net.SetDown(false)
	l.Clock.Run(12 * time.Minute)
	l.wantHolders(it)
}

func TestUnkeepStopsThePutUnderWay(t *testing.T) {
	l := newLibrary(t, 30, Config{})
	it := version(t, 1, "first")
	l.mustKeep(it)
	l.Clock.Run(10 * time.Millisecond)
	if n := l.first.Stats().Keeping; n != 1 {
		t.Fatalf("%d puts under way, want 1", n)
	}
	l.first.Unkeep(it.Target())
	l.Clock.Run(time.Hour)
	l.wantNoHolders(it)
	if st := l.first.Stats(); st.Keeping != 0 || st.Kept != 0 || st.KeepPuts != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestItemsThatAreNotKept(t *testing.T) {
	l := newLibrary(t, 1, Config{MaxKept: 1})
	first := version(t, 1, "first")
	forged := version(t, 2, "forged")
	forged.Sig = first.Sig
	if err := l.first.Keep(forged, KeepOptions{}); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a forged item: %v", err)
	}
	l.mustKeep(first)
	other, _ := Immutable([]byte("5:other"))
	if err := l.first.Keep(other, KeepOptions{}); err != ErrTooMany {
		t.Errorf("one too many: %v", err)
	}
	l.mustKeep(version(t, 2, "second"))
	l.first.Unkeep(first.Target())
	l.mustKeep(other)
	l.first.Close()
	if err := l.first.Keep(first, KeepOptions{}); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if st := l.first.Stats(); st.Kept != 1 || st.MaxKept != 1 || st.Keeping != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestCloseEndsKeeping(t *testing.T) {
	l := newLibrary(t, 20, Config{})
	for i := range 200 {
		it, _ := Immutable(fmt.Appendf(nil, "i%de", i))
		l.mustKeep(it)
	}
	l.Clock.Run(50 * time.Millisecond)
	if n := l.first.Stats().Keeping; n != maxPutting {
		t.Errorf("%d puts under way, want %d", n, maxPutting)
	}
	l.first.Close()
	l.first.Close()
	l.Clock.Run(3 * time.Hour)
	if st := l.first.Stats(); st.Keeping != 0 || st.KeepPuts != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestFullHouseOfKeptItems keeps as many as there may be, all at once.
func TestFullHouseOfKeptItems(t *testing.T) {
	kept := sized(2000, 400)
	l := newLibrary(t, 20, Config{MaxKept: kept, MaxPerIP: 100_000})
	targets := map[krpc.ID]Item{}
	for i := range kept {
		it, _ := Immutable(fmt.Appendf(nil, "i%de", i))
		targets[it.Target()] = it
		l.mustKeep(it)
	}
	l.Clock.Run(5 * time.Minute)
	for _, it := range targets {
		l.wantHolders(it)
	}
	before := l.first.Stats().KeepPuts
	l.Clock.Run(3 * time.Hour)
	if st := l.first.Stats(); int(st.KeepPuts-before) < kept*59/20 || int(st.KeepPuts-before) > kept*61/20 || st.KeepFailed != 0 || st.KeepLag != 0 {
		t.Errorf("%d puts in 3 hours: %+v", st.KeepPuts-before, st)
	}
}

package tracker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// A program is killed, and another one goes on with its files.
func TestWhatIsAnnouncedOutlivesTheProcess(t *testing.T) {
	for _, compacted := range []bool{false, true} {
		t.Run(fmt.Sprint("compacted=", compacted), func(t *testing.T) {
			w := newWorld(t, 20, Config{})
			dir := t.TempDir()
			m, log := w.durableMember(dir)
			for n := range 300 {
				from, ih := simnet.Addr(2000+n), hashOf(n%7)
				token := w.getPeers(m, from, ih).Token
				if r := w.announceWith(m, from, ih, token, func(q *krpc.Message) { q.Seed = n%2 == 0 }); r.Kind != krpc.KindReply {
					t.Fatalf("announce %d refused: %d", n, r.ErrorCode)
				}
				log.Commit() // as the reader of the socket does
				w.clock.Run(time.Second)
				if compacted && n == 200 {
					if err := log.Compact(); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := contents(m.swarms, w.clock.Now())
			w.kill(m)
			w.clock.Run(time.Minute)
			again, _ := w.durableMember(dir)
			if got := contents(again.swarms, w.clock.Now()); len(want) != 300 || !maps.Equal(got, want) {
				t.Errorf("%d peers are held, want %d, or others", len(got), len(want))
			}
			if r := w.getPeers(again, stranger, hashOf(1)); len(r.Values) == 0 {
				t.Error("the new process hands out no peers")
			}
		})
	}
}

func TestWhatIsTrackedOutlivesTheProcess(t *testing.T) {
	w := newWorld(t, 30, Config{})
	dir := t.TempDir()
	m, log := w.durableMember(dir)
	for n := range 100 {
		w.mustTrack(m, hashOf(n), AnnounceOptions{Port: uint16(1 + n), Seed: n%2 == 0})
		if n == 50 {
			if err := log.Compact(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 30 {
		m.Untrack(hashOf(n))
	}
	w.mustTrack(m, hashOf(99), AnnounceOptions{ImpliedPort: true, Reuse: true})
	w.clock.Run(5 * time.Minute)
	w.kill(m)

	again, _ := w.durableMember(dir)
	if st := again.Stats(); st.Tracked != 70 || st.Announces != 0 {
		t.Fatalf("stats %+v, want 70 tracked", st)
	}
	for n := 30; n < 99; n++ {
		if o, _, _ := again.announcer.Job(hashOf(n)); o != (AnnounceOptions{Port: uint16(1 + n), Seed: n%2 == 0}) {
			t.Fatalf("info-hash %d is tracked with %+v", n, o)
		}
	}
	if o, _, _ := again.announcer.Job(hashOf(99)); o != (AnnounceOptions{ImpliedPort: true, Reuse: true}) {
		t.Errorf("the last one is tracked with %+v", o)
	}
	w.clock.Run(17 * time.Minute)
	if st := again.Stats(); st.Announces < 70 || st.AnnouncesFailed != 0 {
		t.Errorf("%d announces in the first interval, %d failed", st.Announces, st.AnnouncesFailed)
	}
	again.Close()
	if err := again.Track(hashOf(1000), AnnounceOptions{Port: 1}); err != ErrClosed {
		t.Errorf("tracked after Close: %v", err)
	}
}

// With a smaller bound than before some are left out, of which one line says how many.
func TestFewerAreTrackedThanBefore(t *testing.T) {
	for _, compacted := range []bool{false, true} {
		w := newWorld(t, 2, Config{})
		dir := t.TempDir()
		m, log := w.durableMember(dir)
		for n := range 100 {
			w.mustTrack(m, hashOf(n), AnnounceOptions{Port: 1})
		}
		m.Untrack(hashOf(0))
		if compacted {
			if err := log.Compact(); err != nil {
				t.Fatal(err)
			}
		}
		w.kill(m)
		log = openLog(t, dir, w.clock.Now)
		var logged bytes.Buffer
		m = w.newMember(Config{MaxTracked: 30, Journal: log, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		if err := errors.Join(log.Load(), log.Start()); err != nil {
			t.Fatal(err)
		}
		m.Start()
		m.Start()
		want, kept := "left_out=69", 30
		if !compacted {
			want, kept = "left_out=70", 29 // there was no place yet for the others when one went
		}
		if got := logged.String(); m.Tracked() != kept || strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, want+" max=30") {
			t.Errorf("compacted %v: %d tracked; logged %q", compacted, m.Tracked(), got)
		}
		m.Close()
		log.Close()
	}
}

func TestRestoredAreNotAnnouncedAtOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
	w := newWorld(t, 30, Config{})
	dir := t.TempDir()
	m, _ := w.durableMember(dir)
	for range 1000 {
		w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 4001})
	}
	w.clock.Run(20 * time.Minute)
	w.kill(m)
	again, _ := w.durableMember(dir)
	for minute, n := range w.announces(again, 15) {
		if n > 130 {
			t.Errorf("%d announces in minute %d, want about 67", n, minute)
		}
	}
}

// Of those who change an info-hash at once the journal must believe the one that came last.
func TestTheJournalAgreesWithWhatIsTracked(t *testing.T) {
	w := emptyWorld(t, simnet.Addr)
	w.add(Config{})
	for range 20 {
		dir := t.TempDir()
		m, _ := w.durableMember(dir)
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for n := range 50 {
					if (n+g)%3 == 0 {
						m.Untrack(hashOf(n % 5))
					} else if err := m.Track(hashOf(n%5), AnnounceOptions{Port: uint16(1 + n*4 + g)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		again, _ := w.durableMember(dir)
		if got, want := again.announcer.Keys(), m.announcer.Keys(); !slices.Equal(got, want) {
			t.Fatalf("tracked %v, want %v", got, want)
		}
		for n := range 5 {
			got, _, _ := again.announcer.Job(hashOf(n))
			if want, _, _ := m.announcer.Job(hashOf(n)); got != want {
				t.Fatalf("tracked as %+v, want %+v", got, want)
			}
		}
	}
}

// A snapshot is all there is: what it does not name is not tracked, whatever came before.
func TestASnapshotEndsWhatItDoesNotName(t *testing.T) {
	w := newWorld(t, 1, Config{MaxTracked: 3})
	m, other := w.any(), w.newMember(Config{MaxTracked: 3})
	now := w.clock.Now()
	w.mustTrack(m, hashOf(1), AnnounceOptions{Port: 1})
	w.mustTrack(other, hashOf(2), AnnounceOptions{Port: 1})
	for record := range m.tracked.Records(now) {
		if err := other.tracked.Replay(record, now, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := other.announcer.Keys(); !slices.Equal(got, []krpc.ID{hashOf(1)}) {
		t.Errorf("tracked: %v", got)
	}
	for n := range byte(3) {
		err := other.tracked.Replay(append([]byte{recordTracked, 19: 7, 20: n}, 1, 1, 0), now, now)
		if n == 2 && err != ErrTooMany || n < 2 && err != nil {
			t.Errorf("one more: %v", err)
		}
	}
}

// FuzzTrackedReplay holds what is replayed to its own snapshot.
func FuzzTrackedReplay(f *testing.F) {
	w := newWorld(f, 1, Config{})
	m := w.any()
	w.mustTrack(m, hashOf(1), AnnounceOptions{Port: 0x1234, Seed: true})
	w.mustTrack(m, hashOf(2), AnnounceOptions{ImpliedPort: true, Reuse: true})
	now := w.clock.Now()
	for record := range m.tracked.Records(now) {
		f.Add(slices.Clone(record))
	}
	untracked := hashOf(3)
	f.Add(m.tracked.appendRecord(nil, &untracked))
	f.Fuzz(func(t *testing.T, record []byte) {
		before := m.announcer.Keys()
		if err := m.tracked.Replay(record, now, now); err != nil && !slices.Equal(m.announcer.Keys(), before) {
			t.Errorf("%x: %v, and what is tracked has changed", record, err)
		}
		if len(record) > krpc.IDLen && record[0] == recordTracked && m.Tracked() > len(before) {
			ih := krpc.ID(record[1 : 1+krpc.IDLen])
			if got := m.tracked.appendRecord(nil, &ih); !slices.Equal(got, record) {
				t.Errorf("%x is recorded as %x", record, got)
			}
		}
	})
}

// TestDurableAnnounceAllocatesNothing refreshes a peer, and has it written in batches.
func TestDurableAnnounceAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var s Store = newDurable(t)
	for n := range 2000 {
		if err := s.Announce(hashOf(n%10), publicPeer(n), false, start); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if got := testing.AllocsPerRun(1000, func() {
		n++
		_ = s.Announce(hashOf(n%10), publicPeer(n%2000), true, start)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func newDurable(t testing.TB) *Durable {
	log := openLog(t, t.TempDir(), func() time.Time { return start })
	d := NewDurable(newSwarms(SwarmsConfig{}), log)
	startLog(t, log)
	return d
}

// BenchmarkAnnounceDurable is BenchmarkAnnounceRefresh with a record of each, written in
// batches of 64.
func BenchmarkAnnounceDurable(b *testing.B) {
	for _, peers := range sizes {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/durable=%v", peers, durable), func(b *testing.B) {
				var log *journal.Log
				var s Store = newSwarms(SwarmsConfig{})
				if durable {
					d := newDurable(b)
					s, log = d, d.log
				}
				for n := range peers {
					_ = s.Announce(hashOf(0), publicPeer(n), false, start)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					_ = s.Announce(hashOf(0), publicPeer(i*7%peers), false, start)
					if i++; i%64 == 0 {
						log.Commit()
					}
				}
			})
		}
	}
}

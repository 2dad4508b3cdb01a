package store

import (
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// bookcase is a durable shelf of a node, and its journal.
type bookcase struct {
	*durable
	books *keeper
	state *heldState
	log   *journal.Log
	dir   string
	now   time.Time
}

// newBookcase returns a shelf as of now, with what an earlier one has recorded in dir. pause is
// called after each record of a snapshot.
func newBookcase(t testing.TB, dir string, l limits, now time.Time, pause func()) *bookcase {
	t.Helper()
	b := &bookcase{dir: dir, now: now}
	b.log = journal.New(journal.Config{
		FS: journal.Dir(dir), Now: func() time.Time { return b.now }, Rand: rand.New(rand.NewPCG(3, uint64(now.UnixNano()))),
		Log: slog.New(slog.DiscardHandler),
	})
	b.durable = newDurable(newMemory(&l, rand.New(rand.NewPCG(1, 2))), b.log, listened)
	b.books = &keeper{t: t, shelf: b.memory}
	node := sim.New(sim.Config{Seed: 1}).Grow().Node
	b.state = &heldState{nodes: []*kademlia.Node{node}, shelves: []*durable{b.durable}, log: slog.New(slog.DiscardHandler)}
	b.log.Attach(TagItems, &slowState{b.state, pause})
	if err := b.log.Load(); err != nil {
		t.Fatal(err)
	}
	if err := b.log.Start(); err != nil {
		t.Fatal(err)
	}
	b.state.settle(now)
	if st := b.log.Stats(); st.NotReplayed > 0 {
		t.Fatalf("%d records were not understood", st.NotReplayed)
	}
	t.Cleanup(func() { b.log.Close() })
	return b
}

// slowState is a State whose snapshots take some time.
type slowState struct {
	journal.State
	pause func()
}

func (s *slowState) Records(now time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := range s.State.Records(now) {
			if !yield(b) {
				return
			}
			if s.pause != nil {
				s.pause()
			}
		}
	}
}

// offer puts an item.
func (b *bookcase) offer(it Item, life time.Duration, from payer) {
	o := offer{item: it, target: it.Target(), life: life, from: from, self: b.state.nodes[0].ID(), now: b.now}
	if what, err := b.durable.take(o, nil); err == nil && what == unverified {
		b.durable.take(o, it.clone())
	}
}

// contents describes all that is alive, in the order in which it gives way.
func (b *bookcase) contents() (list []string) {
	for i, r := range b.rows {
		for e := r.first; e != nil; e = e.next {
			if !e.expired(b.now) {
				list = append(list, fmt.Sprintf("row %d: %.20s seq %d, %v, expires %d, received %d",
					i, e.item.V, e.item.Seq, e.from, e.expires.At.UnixMilli(), e.received.UnixMilli()))
			}
		}
	}
	return list
}

// A shelf that is full is put at, updated, refreshed and made to give way, also while
// snapshots are taken: what comes back after the end of the process is all there was, in its
// order, again and again.
func TestFullShelfComesBackAsItWas(t *testing.T) {
	dir, l := t.TempDir(), limits{bytes: 60_000, perIP: 20, perSubnet: 50, k: 8}
	rng := rand.New(rand.NewPCG(5, 6))
	var b *bookcase
	flood := func() {
		b.now = b.now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
		it := immutable(rng.IntN(2000))
		if rng.IntN(2) == 0 {
			// Nobody verifies here.
			it = Item{V: ofSize(100+rng.IntN(900), rng.IntN(9)).V, K: make([]byte, 32), Sig: make([]byte, 64), Seq: int64(rng.IntN(5))}
			it.K[0] = byte(rng.IntN(100))
		}
		b.offer(it, time.Duration(rng.Int64N(int64(Life))), payer{simnet.Addr(rng.IntN(10)).Addr(), strangerShare})
	}
	b = newBookcase(t, dir, l, epoch, flood)
	for restart := range 8 {
		for range 1500 {
			flood()
		}
		if restart%2 == 1 {
			if err := b.log.Compact(); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 {
			flood()
		}
		b.log.Commit()
		again := newBookcase(t, dir, l, b.now, flood)
		again.books.checkBooks()
		want, got := b.contents(), again.contents()
		if len(want) < 50 || b.evicted == 0 || b.memory.expired == 0 {
			t.Fatalf("%d items: the flood has missed a rule", len(want))
		}
		if len(got) != len(want) {
			t.Errorf("restart %d: %d items came back of %d", restart, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("restart %d: came back as %s, want %s", restart, got[i], want[i])
			}
		}
		b.log.Close()
		b = again
	}
}

// Items are republished when they would have been, or later, but not all at once.
func TestItemsComeDueAfterARestartAsBefore(t *testing.T) {
	dir, l := t.TempDir(), limits{bytes: 1 << 20, perIP: 1 << 20, perSubnet: 1 << 20, k: 8}
	b := newBookcase(t, dir, l, epoch, nil)
	for i := range 500 {
		b.offer(immutable(i), Life, payer{})
	}
	b.now = b.now.Add(45 * time.Minute)
	for _, _, ok := b.takeDue(b.now); ok; _, _, ok = b.takeDue(b.now) {
	}
	b.log.Commit()
	again := newBookcase(t, dir, l, b.now, nil)
	kept, anew := 0, 0
	for target, e := range again.entries {
		was, is := b.entries[target].due.At, e.due.At
		switch {
		case is.Sub(was).Abs() <= time.Millisecond:
			kept++
		case is.Sub(b.now) >= republishMin && is.Sub(b.now) <= republishMin+republishSpread:
			anew++
		default:
			t.Errorf("due in %v, was in %v", is.Sub(b.now), was.Sub(b.now))
		}
	}
	if kept < 400 || anew < 5 || kept+anew != 500 {
		t.Errorf("%d are due as before, %d at another time", kept, anew)
	}
}

func TestItemsOfAnAddressThatIsGone(t *testing.T) {
	l := limits{bytes: 4000, perIP: 9, perSubnet: 9, k: 8}
	it := immutable(1)
	was := record{kind: recordImmutable, times: times{expires: epoch.Add(time.Hour), received: epoch}, item: it}
	for name, c := range map[string]struct {
		home string
		held bool
	}{
		"the same":              {listened.String(), true},
		"another of the family": {"192.0.2.7:1", true},
		"all of the family":     {"0.0.0.0:6881", true},
		"one of another family": {"[2001:db8::1]:6881", false},
		"all of another family": {"[::]:6881", false},
	} {
		var logged lines
		b := newBookcase(t, t.TempDir(), l, epoch, nil)
		b.state.log = slog.New(slog.NewTextHandler(&logged, nil))
		was.home = netip.MustParseAddrPort(c.home)
		gone := record{kind: recordEviction, home: was.home, target: it.Target()}
		for range 2 {
			if err := b.state.Replay(was.append(nil), epoch, epoch); err != nil {
				t.Error(err)
			}
		}
		if _, left, ok := b.get(it.Target(), epoch); ok != c.held || ok && left != time.Hour {
			t.Errorf("%s: held %v, for %v", name, ok, left)
		}
		if (logged == 1) == c.held || logged > 1 {
			t.Errorf("%s: %d lines in the log", name, logged)
		}
		// Two shelves may have become one: what gave way on one was on the other.
		b.state.Replay(gone.append(nil), epoch, epoch)
		if _, _, ok := b.get(it.Target(), epoch); ok != (c.held && was.home != listened) {
			t.Errorf("%s: held %v after it gave way", name, ok)
		}
	}
}

// lines is a writer that counts lines.
type lines int

func (l *lines) Write(b []byte) (int, error) {
	*l++
	return len(b), nil
}

// Snapshots are taken while items come and go.
func TestSnapshotsInManyGoroutines(t *testing.T) {
	b := newBookcase(t, t.TempDir(), limits{bytes: 50_000, perIP: 20, perSubnet: 50, k: 8}, epoch, nil)
	var all sync.WaitGroup
	for g := range uint64(2) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(g, 1))
			for range 2000 {
				b.offer(immutable(rng.IntN(300)), Life, payer{simnet.Addr(int(g)).Addr(), strangerShare})
				b.log.Commit()
			}
		})
	}
	all.Go(func() {
		for range 10 {
			if err := b.log.Compact(); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	again := newBookcase(t, b.dir, *b.memory.limits, epoch, nil)
	if got, want := len(again.entries), len(b.entries); got != want {
		t.Errorf("%d items came back of %d", got, want)
	}
}

func TestReplayInAnyOrder(t *testing.T) {
	l := limits{bytes: 4000, perIP: 9, perSubnet: 9, k: 8}
	life := func(d time.Duration) times { return times{expires: epoch.Add(d), received: epoch} }
	v1, v2, rival := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2"), mutable(t, "", 2, "5:rival")
	target := v1.Target()
	of := func(it Item, d time.Duration) record {
		return record{kind: recordMutable, home: listened, times: life(d), item: it}
	}
	refresh := func(d time.Duration) record {
		return record{kind: recordRefresh, home: listened, target: target, times: life(d)}
	}
	past := of(v1, -time.Minute)
	past.received = epoch.Add(-time.Hour)
	inTime := refresh(time.Hour)
	inTime.received = epoch.Add(-2 * time.Minute)
	gone := record{kind: recordEviction, home: listened, target: target}
	for name, c := range map[string]struct {
		records []record
		want    *Item
		left    time.Duration
	}{
		"older after newer":            {[]record{of(v2, time.Hour), of(v1, time.Hour)}, &v2, time.Hour},
		"newer after older":            {[]record{of(v1, time.Hour), of(v2, time.Minute)}, &v2, time.Hour},
		"a rival":                      {[]record{of(v2, time.Hour), of(rival, time.Hour)}, &v2, time.Hour},
		"again":                        {[]record{of(v1, time.Minute), of(v1, time.Hour), of(v1, time.Minute)}, &v1, time.Hour},
		"put again":                    {[]record{of(v1, time.Minute), refresh(time.Hour)}, &v1, time.Hour},
		"put again, before a snapshot": {[]record{of(v1, time.Hour), refresh(time.Minute)}, &v1, time.Hour},
		"put again, of what is not":    {[]record{refresh(time.Hour)}, nil, 0},
		"expired":                      {[]record{of(v1, 0)}, nil, 0},
		"expired, but put in time":     {[]record{past, inTime}, &v1, time.Hour},
		"expired, put too late":        {[]record{past, refresh(time.Hour)}, nil, 0},
		"expired, put anew":            {[]record{of(v2, -time.Hour), of(v1, time.Minute)}, &v1, time.Minute},
		"of a clock that was set back": {[]record{of(v1, 30*time.Hour)}, &v1, Life},
		"gave way":                     {[]record{of(v1, time.Hour), gone, gone}, nil, 0},
		"gave way, put anew":           {[]record{of(v2, time.Hour), gone, of(v1, time.Minute)}, &v1, time.Minute},
	} {
		b := newBookcase(t, t.TempDir(), l, epoch, nil)
		for _, r := range c.records {
			if err := b.state.Replay(r.append(nil), epoch, epoch); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.books.checkBooks()
		switch it, left, ok := b.get(target, epoch); {
		case ok != (c.want != nil), ok && !it.same(c.want), left != c.left:
			t.Errorf("%s: held %v, %v for %v", name, ok, it, left)
		}
	}
}

// What does not fit into a smaller configuration is left out.
func TestLessRoomAfterARestart(t *testing.T) {
	dir, l := t.TempDir(), limits{bytes: int(roomFor(8)), perIP: 8, perSubnet: 8, k: 8}
	b := newBookcase(t, dir, l, epoch, nil)
	for i := range 8 {
		b.offer(ofSize(500, i), Life, payer{stranger.Addr(), strangerShare})
	}
	b.log.Commit()
	for name, less := range map[string]limits{
		"room":  {bytes: int(roomFor(3)), perIP: 8, perSubnet: 8, k: 8},
		"share": {bytes: int(roomFor(8)), perIP: 3, perSubnet: 8, k: 8},
	} {
		again := newBookcase(t, dir, less, epoch, nil)
		again.books.checkBooks()
		if n := len(again.entries); n != 3 {
			t.Errorf("less %s: %d items came back, want 3", name, n)
		}
		again.log.Close()
	}
}

// TestPutsOfADurableShelfAllocateNothing holds for what is refreshed.
func TestPutsOfADurableShelfAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBookcase(t, t.TempDir(), limits{bytes: 1 << 20, perIP: 9, perSubnet: 9, k: 8}, epoch, nil)
	it := mutable(t, "salt", 1, "4:held")
	b.offer(it, Life, payer{})
	refresh := func() { b.offer(it, Life, payer{}) }
	refresh()
	if n := testing.AllocsPerRun(1000, refresh); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if st := b.log.Stats(); st.Records < 1000 || st.Dropped > 0 {
		t.Errorf("stats of the journal: %+v", st)
	}
}

// filled returns a shelf of 50 000 items of 200 bytes.
func filled(b *testing.B) *bookcase {
	s := newBookcase(b, b.TempDir(), limits{bytes: 1 << 30, perIP: 1 << 30, perSubnet: 1 << 30, k: 8}, epoch, nil)
	for i := range 50_000 {
		s.offer(ofSize(200, i), Life, payer{simnet.Addr(i).Addr(), strangerShare})
		s.log.Commit()
	}
	return s
}

// BenchmarkRecords takes snapshots of 50 000 items of 200 bytes.
func BenchmarkRecords(b *testing.B) {
	s := filled(b)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		for r := range s.state.Records(epoch) {
			size += len(r)
		}
	}
	b.ReportMetric(float64(size)/50_000, "B/item")
}

// BenchmarkReplay replays one.
func BenchmarkReplay(b *testing.B) {
	s := filled(b)
	var records [][]byte
	for r := range s.state.Records(epoch) {
		records = append(records, append([]byte(nil), r...))
	}
	b.ReportAllocs()
	for b.Loop() {
		own := newDurable(newMemory(s.memory.limits, rand.New(rand.NewPCG(1, 2))), nil, listened)
		state := heldState{nodes: s.state.nodes, shelves: []*durable{own}}
		for _, r := range records {
			if err := state.Replay(r, epoch, epoch); err != nil {
				b.Fatal(err)
			}
		}
		if len(own.entries) != 50_000 {
			b.Fatalf("%d items", len(own.entries))
		}
	}
}

// BenchmarkDurablePut refreshes an item, as BenchmarkServe does without a journal.
func BenchmarkDurablePut(b *testing.B) {
	for name, log := range map[string]*journal.Log{"with a journal": startedJournal(b), "without": nil} {
		b.Run(name, func(b *testing.B) {
			l := limits{bytes: 1 << 20, perIP: 9, perSubnet: 9, k: 8}
			s := newDurable(newMemory(&l, rand.New(rand.NewPCG(1, 2))), log, listened)
			it := mutable(b, "salt", 1, "4:held")
			o := offer{item: it, target: it.Target(), life: Life, self: krpc.ID{}, now: epoch}
			s.take(o, it.clone())
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				s.take(o, nil)
				if n++; n%32 == 0 {
					log.Commit() // a batch
				}
			}
		})
	}
}

package storetest

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

var servingScenarios = []scenario{
	{"info-hashes and families are kept apart", testApart},
	{"a sample is random", testSampleIsRandom},
	{"seeds are left out for seeds", testNoSeed},
	{"a refresh updates", testRefresh},
	{"filters", testFilters},
	{"filters of many", testFiltersOfMany},
	{"samples of info-hashes", testHashSamples},
	{"counts", testCounts},
	{"many at once", testConcurrency},
}

func testApart(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{})
	one, two := parse("20.1.1.1:6881", "[2a01::1]:6882"), parse("20.1.1.2:1", "[2a01::1]:65535")
	s.announce(hash(1), false, one...)
	s.announce(hash(2), true, two...)
	s.want(hash(1), one...)
	s.want(hash(2), two...)
	s.want(hash(3))
	if got := s.sample(hash(1), tracker.SampleOptions{Max: 0}); len(got) > 0 {
		t.Errorf("a sample of none: %v", got)
	}
}

func testSampleIsRandom(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{})
	s.announce(hash(1), false, peers(0, 200)...)
	seen := map[netip.AddrPort]int{}
	for range 200 {
		got := s.sample(hash(1), tracker.SampleOptions{Max: 20})
		if len(got) != 20 {
			t.Fatalf("%d of 200 peers, want 20", len(got))
		}
		for _, p := range got {
			seen[p]++
		}
	}
	// Each is expected 20 times, with a standard deviation of 4.2.
	for _, p := range peers(0, 200) {
		if n := seen[p]; n < 2 || n > 45 {
			t.Errorf("%v is in %d of 200 samples of a tenth", p, n)
		}
	}
}

func testNoSeed(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{})
	s.announce(hash(1), true, peers(0, 30)...)
	s.announce(hash(1), false, peers(30, 40)...)
	if got := s.all(hash(1), tracker.SampleOptions{NoSeed: true}); !slices.Equal(got, peers(30, 40)) {
		t.Errorf("leechers %v", got)
	}
	if got := s.sample(hash(1), tracker.SampleOptions{NoSeed: true, Max: 5}); len(got) != 5 {
		t.Errorf("%d leechers, want 5", len(got))
	}
}

func testRefresh(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	leecher := tracker.SampleOptions{NoSeed: true}
	s.announce(hash(1), false, peer(1))
	s.now = start.Add(50 * time.Minute)
	s.announce(hash(1), true, peer(1))
	s.want(hash(1), peer(1))
	if got := s.all(hash(1), leecher); len(got) > 0 {
		t.Errorf("%v has become a seed", got)
	}
	s.now = start.Add(100 * time.Minute)
	s.want(hash(1), peer(1))
	s.announce(hash(1), false, peer(1))
	if got := s.all(hash(1), leecher); len(got) != 1 {
		t.Errorf("it is no seed any more, but leechers are %v", got)
	}
}

// wantFilters checks the filters of ih, of both families.
func (s *subject) wantFilters(ih krpc.ID, wantSeeds, wantPeers []netip.AddrPort) {
	s.Helper()
	var seeds, others, wantSd, wantPe krpc.Bloom
	for _, p := range wantSeeds {
		wantSd.Insert(p.Addr())
	}
	for _, p := range wantPeers {
		wantPe.Insert(p.Addr())
	}
	if !s.Scrape(ih, &seeds, &others, s.now) || seeds != wantSd || others != wantPe {
		s.Errorf("%.1f seeds and %.1f peers, want %.1f and %.1f, or others",
			seeds.Estimate(), others.Estimate(), wantSd.Estimate(), wantPe.Estimate())
	}
}

func testFilters(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{})
	seeds, others := parse("20.1.1.1:1", "20.1.1.1:2", "[2a01::1]:1"), parse("20.1.1.2:1", "20.1.1.2:2", "[2a01::2]:1")
	s.announce(hash(1), true, seeds...)
	s.announce(hash(1), false, others...)
	s.announce(hash(1), false, parse("20.1.1.1:2")...) // the other one is still a seed
	s.wantFilters(hash(1), seeds, others)

	untouched := krpc.Bloom{1, 2, 3}
	a, b := untouched, untouched
	if s.Scrape(hash(2), &a, &b, s.now) || a != untouched || b != untouched {
		t.Errorf("filters of no peers")
	}
}

func testFiltersOfMany(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	s.announce(hash(1), true, peers(0, 50)...)
	s.announce(hash(1), false, peers(50, 300)...)
	s.wantFilters(hash(1), peers(0, 50), peers(50, 300))
	s.now = start.Add(30 * time.Minute)
	s.announce(hash(1), true, peers(250, 350)...)
	s.now = s.now.Add(slack) // filters may be a few seconds old
	s.wantFilters(hash(1), append(peers(0, 50), peers(250, 350)...), peers(50, 250))
	s.now = start.Add(time.Hour + slack)
	s.wantFilters(hash(1), peers(250, 350), nil)
}

// hashes returns the info-hashes of one sample, sorted.
func (s *subject) hashes(limit int, rng *rand.Rand) []krpc.ID {
	s.Helper()
	b := s.SampleHashes(limit, rng, s.now)
	if len(b)%krpc.IDLen != 0 || len(b) > limit*krpc.IDLen {
		s.Fatalf("%d bytes, want %d info-hashes at most", len(b), limit)
	}
	var list []krpc.ID
	for ih := range slices.Chunk(b, krpc.IDLen) {
		list = append(list, krpc.ID(ih))
	}
	clear(b) // it is the caller's
	slices.SortFunc(list, krpc.ID.Compare)
	if n := len(slices.Compact(slices.Clone(list))); n < len(list) {
		s.Fatalf("%d info-hashes, %d distinct", len(list), n)
	}
	return list
}

func testHashSamples(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	rng := rand.New(rand.NewPCG(3, 4))
	if got := s.hashes(10, rng); len(got) > 0 {
		t.Errorf("an empty store has %v", got)
	}
	for n := range 60 {
		s.announce(hash(n), false, peer(1))
	}
	seen := map[krpc.ID]int{}
	for range 300 {
		got := s.hashes(20, rng)
		if len(got) != 20 {
			t.Fatalf("%d of 60 info-hashes, want 20", len(got))
		}
		for _, ih := range got {
			seen[ih]++
		}
	}
	// Each is expected 100 times, with a standard deviation of 8.2.
	for n := range 60 {
		if in := seen[hash(n)]; in < 50 || in > 150 {
			t.Errorf("info-hash %d is in %d of 300 samples of a third", n, in)
		}
	}
	s.now = start.Add(30 * time.Minute)
	s.announce(hash(7), false, peer(1))
	s.announce(hash(99), false, peer(1))
	s.now = start.Add(time.Hour + slack)
	if got := s.hashes(100, rng); !slices.Equal(got, []krpc.ID{hash(7), hash(99)}) {
		t.Errorf("%v have peers left", got)
	}
}

func testCounts(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxHashes: 1000, MaxBytes: 1 << 20})
	if st := s.Stats(); st.Hashes != 0 || s.Hashes() != 0 || st.Peers4+st.Peers6+st.Seeds4+st.Seeds6 != 0 {
		t.Errorf("an empty store: %+v", st)
	}
	s.announce(hash(1), true, peers(0, 5)...)
	s.announce(hash(2), false, peers(0, 7)...)
	s.announce(hash(2), true, parse("[2a01::1]:1", "[2a01::2]:1")...)
	s.announce(hash(2), false, parse("[2a01::2]:1")...)
	st := s.Stats()
	if st.Hashes != 2 || s.Hashes() != 2 || st.Peers4 != 12 || st.Seeds4 != 5 || st.Peers6 != 2 || st.Seeds6 != 1 {
		t.Errorf("%d info-hashes, stats %+v", s.Hashes(), st)
	}
	if st.Bytes <= 0 || st.Bytes > st.MaxBytes || st.MaxBytes > 1<<20 || st.MaxHashes < 2 || st.MaxHashes > 1000 {
		t.Errorf("bounds: %+v", st)
	}
}

// testConcurrency is for the race detector, and for what is acknowledged.
func testConcurrency(t testing.TB, open Open) {
	const workers, each = 4, 200
	s := newSubject(t, open, tracker.SwarmsConfig{})
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			var dst []byte
			var seeds, others krpc.Bloom
			for i := range each {
				ih, now, p := hash(i%10), s.now.Add(time.Duration(i)*time.Millisecond), peer(w*each+i)
				if err := s.Announce(ih, p, i%3 == 0, now); err != nil {
					t.Errorf("announce of %v: %v", p, err)
				}
				o := tracker.SampleOptions{Max: 1000}
				dst, _ = s.SampleAndFull(dst[:0], ih, o, p.Addr(), now)
				if mine := krpc.AppendPeer(nil, p); !bytes.Contains(dst, mine) {
					t.Errorf("%v is not there right after its announce", p)
				}
				s.Scrape(ih, &seeds, &others, now)
				if i%10 == 0 {
					s.SampleHashes(5, rng, now)
					s.Expire(now)
					s.Stats()
				}
			}
		})
	}
	all.Wait()
	if st := s.Stats(); st.Peers4 != workers*each || s.Hashes() != 10 {
		t.Errorf("%d info-hashes, stats %+v", s.Hashes(), st)
	}
}

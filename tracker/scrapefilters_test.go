package tracker

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// wantScraped checks that the filters of ih are just those of these numbers of
// publicPeer.
func wantScraped(t *testing.T, s *Swarms, ih krpc.ID, now time.Time, wantSeeds, wantPeers []int) {
	t.Helper()
	var seeds, peers, wantSd, wantPe krpc.Bloom
	for _, n := range wantSeeds {
		wantSd.Insert(publicPeer(n).Addr())
	}
	for _, n := range wantPeers {
		wantPe.Insert(publicPeer(n).Addr())
	}
	if !s.Scrape(ih, &seeds, &peers, now) || seeds != wantSd || peers != wantPe {
		t.Errorf("%.1f seeds and %.1f peers, want %.1f and %.1f, or others",
			seeds.Estimate(), peers.Estimate(), wantSd.Estimate(), wantPe.Estimate())
	}
}

func wantNotScraped(t *testing.T, s *Swarms, ih krpc.ID, now time.Time) {
	t.Helper()
	var seeds, peers krpc.Bloom
	if s.Scrape(ih, &seeds, &peers, now) || seeds != (krpc.Bloom{}) || peers != (krpc.Bloom{}) {
		t.Errorf("filters of %v", ih)
	}
}

// numbers returns those from a up to b.
func numbers(a, b int) (list []int) {
	for ; a < b; a++ {
		list = append(list, a)
	}
	return list
}

// fill announces n peers of ih, the first of which are seeds.
func fill(t testing.TB, s *Swarms, ih krpc.ID, seeds, n int, now time.Time) {
	t.Helper()
	for i := range n {
		mustAnnounce(t, s, ih, publicPeer(i), i < seeds, now)
	}
}

func TestScrapeOfAnAddressWithSeveralPeers(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	at := func(n int, port uint16) netip.AddrPort { return netip.AddrPortFrom(publicPeer(n).Addr(), port) }
	mustAnnounce(t, s, ih, at(1, 1), true, start)
	mustAnnounce(t, s, ih, at(1, 2), false, start)
	mustAnnounce(t, s, ih, at(2, 1), false, start)
	mustAnnounce(t, s, ih, at(2, 2), true, start)
	mustAnnounce(t, s, ih, at(3, 1), false, start)
	mustAnnounce(t, s, ih, at(3, 2), false, start)
	wantScraped(t, s, ih, start, []int{1, 2}, []int{3})
}

func TestScrapeLeavesTheExpiredOut(t *testing.T) {
	for _, n := range []int{smallSwarm, 100} {
		s, ih, later := newSwarms(SwarmsConfig{}), hashOf(1), start.Add(30*time.Minute)
		fill(t, s, ih, n/2, n, start)
		for i := range 3 {
			mustAnnounce(t, s, ih, publicPeer(i), i == 0, later)
		}
		wantScraped(t, s, ih, later, append(numbers(3, n/2), 0), append(numbers(n/2, n), 1, 2))
		wantScraped(t, s, ih, start.Add(46*time.Minute), []int{0}, []int{1, 2})
		wantNotScraped(t, s, ih, start.Add(76*time.Minute))
		wantNotScraped(t, s, hashOf(2), start)
	}
}

func TestFiltersOfALargeSwarmAreKeptForATick(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{Shards: 1}), hashOf(1)
	fill(t, s, ih, 10, 50, start)
	wantScraped(t, s, ih, start, numbers(0, 10), numbers(10, 50))
	mustAnnounce(t, s, ih, publicPeer(99), true, start)
	wantScraped(t, s, ih, start, numbers(0, 10), numbers(10, 50))
	wantScraped(t, s, ih, start.Add(tickLength), append(numbers(0, 10), 99), numbers(10, 50))
	if st := s.Stats(); st.Filters != 1 || st.MaxFilters != maxFilters {
		t.Errorf("stats %+v", st)
	}

	// Those of a small one are always fresh, and not kept.
	small := hashOf(2)
	fill(t, s, small, 0, smallSwarm-1, start)
	wantScraped(t, s, small, start, nil, numbers(0, smallSwarm-1))
	mustAnnounce(t, s, small, publicPeer(99), true, start)
	wantScraped(t, s, small, start, []int{99}, numbers(0, smallSwarm-1))
	if st := s.Stats(); st.Filters != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestFiltersOfOnlySoManySwarmsAreBuiltInATick(t *testing.T) {
	s, n := newSwarms(SwarmsConfig{Shards: 1}), smallSwarm+1
	for h := range maxFilters + 2 {
		fill(t, s, hashOf(h), 0, n, start)
	}
	for h := range maxFilters {
		wantScraped(t, s, hashOf(h), start, nil, numbers(0, n))
	}
	wantNotScraped(t, s, hashOf(maxFilters), start)
	wantScraped(t, s, hashOf(0), start, nil, numbers(0, n))
	if st := s.Stats(); st.Filters != maxFilters || st.ScrapesRefused != 1 {
		t.Errorf("stats %+v", st)
	}

	// In the next tick the old ones make way, but for one that is fresh again.
	next := start.Add(tickLength)
	wantScraped(t, s, hashOf(0), next, nil, numbers(0, n))
	for h := range maxFilters - 1 {
		wantScraped(t, s, hashOf(3+h), next, nil, numbers(0, n))
	}
	wantNotScraped(t, s, hashOf(1), next)
	wantScraped(t, s, hashOf(0), next, nil, numbers(0, n))
	if st := s.Stats(); st.Filters != maxFilters || st.ScrapesRefused != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestFiltersGoWithTheirSwarm(t *testing.T) {
	s := newSwarms(SwarmsConfig{Shards: 1})
	fill(t, s, hashOf(1), 0, 50, start)
	fill(t, s, hashOf(2), 0, 50, start.Add(20*time.Minute))
	wantScraped(t, s, hashOf(1), start, nil, numbers(0, 50))
	wantScraped(t, s, hashOf(2), start.Add(20*time.Minute), nil, numbers(0, 50))
	for minutes, want := range map[time.Duration]int{46: 1, 66: 0} {
		for now := start.Add(minutes * time.Minute); s.Expire(now).Sub(now) < time.Second; {
		}
		if st := s.Stats(); want == 0 && st.Filters != 0 || st.Filters > 1 {
			t.Errorf("after %d minutes: stats %+v", minutes, st)
		}
	}
}

// TestScrapesAndAnnouncesAtOnce is for the race detector. Whatever comes first, a
// filter is of peers that are there.
func TestScrapesAndAnnouncesAtOnce(t *testing.T) {
	s := newSwarms(SwarmsConfig{Shards: 1})
	for h := range 3 {
		fill(t, s, hashOf(h), 10, 40+100*h, start)
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				ih, now := hashOf(i%3), start.Add(time.Duration(i/10)*tickLength/4)
				if g == 0 {
					_ = s.Announce(ih, publicPeer(i), i%2 == 0, now)
					continue
				}
				var seeds, peers krpc.Bloom
				if !s.Scrape(ih, &seeds, &peers, now) || seeds.Estimate() < 4 || peers.Estimate() < 15 {
					t.Errorf("%.1f seeds and %.1f peers", seeds.Estimate(), peers.Estimate())
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkScrape is of filters that are kept, but for those of small swarms.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{10, smallSwarm, 100, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, ih := filled(b, 1, n), hashOf(0)
			var seeds, peers krpc.Bloom
			b.ReportAllocs()
			for b.Loop() {
				s.Scrape(ih, &seeds, &peers, start)
			}
		})
	}
}

// BenchmarkBuildFilters is what a scrape of a larger swarm costs once a tick, and
// for how much of it the lock is held.
func BenchmarkBuildFilters(b *testing.B) {
	for _, n := range []int{100, 2000} {
		s, ih, w := filled(b, 1, n), hashOf(0), filterWorks.New().(*filterWork)
		sw := s.shard(&ih).peek(&ih)
		b.Run(fmt.Sprintf("%d/locked", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.entries.load(sw, s.tick(start), s.limits.life)
			}
		})
		b.Run(fmt.Sprintf("%d/unlocked", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.build()
			}
		})
	}
}

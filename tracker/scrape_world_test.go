package tracker

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// TestScrapeFindsTheSizeOfSwarms spreads swarms over the nodes truly closest to
// their info-hashes, each peer over six to eight of the eight, and has another
// node estimate them: within 10 % of the truth, or within 1.
func TestScrapeFindsTheSizeOfSwarms(t *testing.T) {
	for name, addr := range map[string]func(int) netip.AddrPort{"IPv4": simnet.Addr, "IPv6": simnet.Addr6} {
		t.Run(name, func(t *testing.T) {
			w := emptyWorld(t, addr)
			w.grow(60, Config{})
			for _, size := range []int{3, 10, 50, 200, 1000, 2000} {
				ih := w.randomHash()
				seeds := w.spread(ih, size)
				m := w.any()
				res := w.findScrape(m, ih)
				t.Logf("%d seeds and %d others: estimated %d and %d by %d nodes, in %v and %d queries",
					seeds, size-seeds, res.Seeds, res.Peers, res.Nodes, res.Lookups[0].Took, res.Lookups[0].Queries)
				wantAbout(t, "seeds", res.Seeds, seeds)
				wantAbout(t, "peers", res.Peers, size-seeds)
				if res.Nodes < 7 || res.Legacy != 0 {
					t.Errorf("%d nodes sent filters and %d none, want 8, or 7 if we are the eighth", res.Nodes, res.Legacy)
				}
			}
		})
	}
}

// spread announces a swarm to its nodes and returns its number of seeds.
func (w *world) spread(ih krpc.ID, size int) (seeds int) {
	w.t.Helper()
	closest := w.closest(ih, 8)
	for i := range size {
		seed := i%10 < 3
		if seed {
			seeds++
		}
		at := w.rng.Perm(len(closest))
		for _, j := range at[:6+w.rng.IntN(3)] {
			mustAnnounce(w.t, closest[j].swarms, ih, w.addr(10_000+i), seed, w.clock.Now())
		}
	}
	return seeds
}

// closest returns the k members whose ids are closest to target.
func (w *world) closest(target krpc.ID, k int) []*member {
	all := slices.Clone(w.members)
	slices.SortFunc(all, func(a, b *member) int { return krpc.CompareDistance(a.node.ID(), b.node.ID(), target) })
	return all[:k]
}

func wantAbout(t *testing.T, what string, got, want int) {
	t.Helper()
	if most := max(1, 0.1*float64(want)); math.Abs(float64(got-want)) > most {
		t.Errorf("%d %s, want %d give or take %.0f", got, what, want, most)
	}
}

package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// closestOfAll is World.Closest the slow way.
func closestOfAll(w *World, target krpc.ID, k int) (all []krpc.NodeInfo) {
	for _, h := range w.Hosts {
		if !h.Down {
			all = append(all, krpc.NodeInfo{ID: h.ID(), Addr: h.Addr})
		}
	}
	slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return all[:min(len(all), k)]
}

func TestClosestIsTheTruth(t *testing.T) {
	withoutRace(t)
	w := New(Config{Seed: *seed})
	check := func(when string) {
		t.Helper()
		for i := range 200 {
			target := krpc.RandomID(w.Rand)
			if got, want := w.Closest(target, 1+i%20), closestOfAll(w, target, 1+i%20); !slices.Equal(got, want) {
				t.Fatalf("%s: got %v, want %v", when, got, want)
			}
		}
	}
	check("empty")
	for range 300 {
		w.Grow()
	}
	check("grown")
	w.Clock.Run(5 * time.Minute)
	w.KillShare(.5)
	check("half are gone")
	for _, h := range w.Hosts {
		if h.Down && w.Rand.IntN(2) == 0 {
			w.Revive(h, w.Rand.IntN(2) == 0)
		}
	}
	check("some are back")
	for range 20 {
		w.Move(w.RandomHost())
	}
	w.Clock.Run(time.Hour)
	check("some have other ids")
}

func BenchmarkClosest(b *testing.B) {
	w := New(Config{Seed: 1})
	for range 10_000 {
		w.Grow() // nobody runs
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Closest(krpc.RandomID(w.Rand), 9)
	}
}

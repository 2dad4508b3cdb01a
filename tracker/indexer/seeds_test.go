package indexer

import (
	"math/rand/v2"
	"testing"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// Of too many seeds the nearest ahead stay, and each is taken once.
func TestSeedsKeepTheNearest(t *testing.T) {
	const step = 1 << 50
	var s seeds
	for _, i := range rand.New(rand.NewPCG(*seed, 6)).Perm(3 * maxSeeds) {
		s.add(krpc.NodeInfo{ID: idAt(uint64(i) * step), Addr: simnet.Addr(i)})
		s.add(krpc.NodeInfo{ID: idAt(uint64(i) * step), Addr: simnet.Addr(i)})
	}
	if len(s) != maxSeeds {
		t.Fatalf("%d seeds, want %d", len(s), maxSeeds)
	}
	taken := s.take(zoneAt(0, 1<<7)) // 2^57, that is 128 steps
	for i, n := range taken {
		if n.ID != idAt(uint64(i)*step) {
			t.Fatalf("seed %d is %v", i, n)
		}
	}
	if len(taken) != 128 || len(s) != maxSeeds-128 || s[0].ID != idAt(128*step) {
		t.Errorf("%d taken, %d left", len(taken), len(s))
	}
	if taken := s.take(zone{}); len(taken) != maxSeeds-128 || len(s) != 0 {
		t.Errorf("%d taken at the end, %d left", len(taken), len(s))
	}
}

func TestRecentRemembersTheLast(t *testing.T) {
	r := recent{limit: 100}
	for i := range 1000 {
		if !r.add(idAt(uint64(i))) {
			t.Fatalf("%d is known", i)
		}
		for back := range min(i, 100) {
			// Not by adding, which would renew it.
			_, young := r.young[idAt(uint64(i-back))]
			_, old := r.old[idAt(uint64(i-back))]
			if !young && !old {
				t.Fatalf("at %d, %d is forgotten", i, i-back)
			}
		}
		if r.len() > 200 {
			t.Fatalf("%d remembered, want at most 200", r.len())
		}
	}
	if r.add(idAt(950)) || !r.add(idAt(1)) {
		t.Error("it takes the new for the old")
	}
	if r.add(idAt(1)) {
		t.Error("the same twice is new twice")
	}
}

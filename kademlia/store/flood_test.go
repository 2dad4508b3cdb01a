package store

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// TestFloodNeverExceedsABound plays a flood of everything at once.
func TestFloodNeverExceedsABound(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: 100_000, MaxPerIP: 20, MaxPerSubnet: 50})
	rng, s := rand.New(rand.NewPCG(5, 6)), k.shelf
	self, now := k.node.ID(), k.world.Clock.Now()
	for i := range 20_000 {
		now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
		it := immutable(rng.IntN(2000))
		if rng.IntN(2) == 0 {
			// Nobody verifies here.
			it = Item{V: ofSize(100+rng.IntN(900), i).V, K: make([]byte, 32), Sig: make([]byte, 64), Seq: int64(i / 1000)}
			it.K[0] = byte(rng.IntN(256))
		}
		o := &offer{item: it, target: it.Target(), life: time.Duration(rng.Int64N(int64(Life))), self: self, now: now}
		o.from = payer{simnet.Addr(rng.IntN(10)).Addr(), strangerShare}
		if rng.IntN(10) == 0 {
			o.life = 0
		}
		switch rng.IntN(1000) {
		case 0:
			self = krpc.RandomID(rng)
		case 1:
			s.sweep(now)
		default:
			if what, err := s.take(*o, nil); err == nil && what == unverified {
				s.take(*o, it.clone())
			}
		}
		if i%100 == 0 {
			k.checkBooks()
		}
	}
	st := k.Stats()
	if st.Evicted == 0 || st.Expired == 0 || st.Mutable == 0 || st.Immutable == 0 {
		t.Errorf("the flood missed a rule: %+v", st)
	}
}

func TestItemsInManyGoroutines(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: 50_000})
	now := k.world.Clock.Now()
	var all sync.WaitGroup
	for g := range uint64(4) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(g, 1))
			for i := range 2000 {
				at := now.Add(time.Duration(i) * 10 * time.Second)
				it := immutable(rng.IntN(300))
				target := it.Target()
				o := &offer{item: it, target: target, life: Life, from: payer{simnet.Addr(int(g)).Addr(), strangerShare}, now: at}
				if what, err := k.shelf.take(*o, nil); err == nil && what == unverified {
					k.shelf.take(*o, it.clone())
				}
				k.shelf.get(target, at)
				k.shelf.takeDue(at)
				k.shelf.putOff(target, at)
				k.shelf.within(i % 5)
				if i%100 == 0 {
					k.shelf.sweep(at)
					k.Stats()
				}
			}
		})
	}
	all.Wait()
	k.checkBooks()
}

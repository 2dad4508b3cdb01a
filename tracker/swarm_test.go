package tracker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestRoomForIsWhatTheAllocatorServes(t *testing.T) {
	for n := 1; n < 100_000; n++ {
		room := roomFor(n)
		if room < n || n > 64 && room > n*3/2 {
			t.Fatalf("room for %d: %d", n, room)
		}
		if n > 1 && room == roomFor(n-1) {
			continue
		}
		if got := cap(slices.Grow([]byte(nil), room)); got != room {
			t.Errorf("%d bytes are served as %d", room, got)
		}
	}
}

// TestPeerArrayAgesAcrossTheStampsWrap holds the array against a list of peers
// with full times, over several times the range of a stamp, with pauses of any
// length between the announces.
func TestPeerArrayAgesAcrossTheStampsWrap(t *testing.T) {
	type peer struct {
		n    int
		seed bool
		tick uint32
	}
	for _, life := range []uint32{1, 169, maxTicks()} {
		t.Run(fmt.Sprint(life, " ticks"), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, uint64(life)))
			a := peerArray{width: width4}
			var model []peer
			now := uint32(0)
			for range 5000 {
				switch r.IntN(20) {
				case 0:
					now += r.Uint32N(3 * seedBit)
				case 1:
					now += life
				default:
					now += r.Uint32N(life/20 + 2)
				}
				model = slices.DeleteFunc(model, func(p peer) bool { return now-p.tick > life })
				if got := a.len() - a.stale(now, life); got != len(model) {
					t.Fatalf("tick %d: %d live, want %d", now, got, len(model))
				}
				if a.dead(now, life) != (len(model) == 0) {
					t.Fatalf("tick %d: dead is wrong", now)
				}
				p := peer{r.IntN(40), r.IntN(2) == 0, now}
				key := makePeerKey(publicPeer(p.n))
				a.trim(a.stale(now, life))
				if i := a.scan(&key).found; i >= 0 {
					a.drop(i)
					model = slices.DeleteFunc(model, func(q peer) bool { return q.n == p.n })
				}
				a.push(&key, p.seed, now)
				model = append(model, p)
				seeds := 0
				for i, p := range model {
					if a.tick(i) != p.tick || a.stamp(i)&seedBit != 0 != p.seed {
						t.Fatalf("tick %d: entry %d is of tick %d, want %d", now, i, a.tick(i), p.tick)
					}
					if p.seed {
						seeds++
					}
				}
				if int(a.seeds) != seeds {
					t.Fatalf("%d seeds, want %d", a.seeds, seeds)
				}
			}
		})
	}
}

func maxTicks() uint32 { return uint32(maxLifetime / tickLength) }

func TestLifetimeFitsTheStamp(t *testing.T) {
	if maxTicks() > stampMask {
		t.Errorf("%d ticks do not fit %d", maxTicks(), stampMask)
	}
	s := newSwarms(SwarmsConfig{Lifetime: 100 * 24 * time.Hour})
	if s.limits.life != maxTicks() {
		t.Errorf("a lifetime of %d ticks, want it cut to %d", s.limits.life, maxTicks())
	}
}

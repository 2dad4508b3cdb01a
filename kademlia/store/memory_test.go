package store

import (
	"runtime"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc/simnet"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryIsWhatIsCharged fills shelves with items of several sizes, each of another
// address, and compares what the heap grew by with what is charged.
func TestMemoryIsWhatIsCharged(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("fills shelves, and counts their bytes")
	}
	for name, size := range map[string]int{"small": 100, "medium": 500, "large": MaxValue} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			s := &memory{limits: &limits{bytes: 64 << 20, perIP: 1, perSubnet: 1}}
			now := time.Unix(1_800_000_000, 0)
			for n := 0; ; n++ {
				it := ofSize(size, n)
				o := &offer{item: it, target: it.Target(), life: Life, from: payer{simnet.Addr(n).Addr(), strangerShare}, now: now}
				if _, err := s.take(*o, it.clone()); err == errFull {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			ratio := float64(heap()-before) / float64(s.bytes)
			t.Logf("%d items: the heap grew by %.2f of what is charged", len(s.entries), ratio)
			if ratio > 1.03 || ratio < .75 {
				t.Errorf("the heap grew by %.2f of what is charged", ratio)
			}
			runtime.KeepAlive(s)
		})
	}
}

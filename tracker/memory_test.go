package tracker

import (
	"runtime"
	"testing"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryIsWhatIsCharged fills stores of several shapes and compares what
// the heap grew by with what the store says.
func TestMemoryIsWhatIsCharged(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("fills stores of 1 000 000 peers, and counts their bytes")
	}
	for _, shape := range []struct {
		name          string
		hashes, peers int
		most          float64 // bytes a peer
	}{
		{"swarms of 100", 10_000, 100, 24},
		{"swarms of 1", 190_000, 1, 330},
		{"swarms of 2000", 500, 2000, 12},
	} {
		t.Run(shape.name, func(t *testing.T) {
			before := heap()
			s := newSwarms(SwarmsConfig{MaxHashesPerSubnet: 1_000_000}) // they all begin with one
			for n := range shape.peers {
				for h := range shape.hashes {
					mustAnnounce(t, s, hashOf(h), publicPeer(n), false, start)
				}
			}
			grown, st := heap()-before, s.Stats()
			perPeer := float64(grown) / float64(st.Peers4)
			t.Logf("%d peers: %.2f bytes a peer, %.2f charged", st.Peers4, perPeer, float64(st.Bytes)/float64(st.Peers4))
			if perPeer > shape.most {
				t.Errorf("%.1f bytes a peer, want at most %.0f", perPeer, shape.most)
			}
			if ratio := float64(grown) / float64(st.Bytes); ratio > 1.03 || ratio < 0.75 {
				t.Errorf("the heap grew by %.2f of what is charged", ratio)
			}
		})
	}
}

func TestIdleStoreIsSmall(t *testing.T) {
	before := heap()
	const stores = 1000
	all := make([]*Swarms, stores)
	for i := range all {
		all[i] = newSwarms(SwarmsConfig{Shards: 1})
	}
	each := (heap() - before) / stores
	t.Logf("%d bytes", each)
	if each > 1024 {
		t.Errorf("an idle store with one shard takes %d bytes", each)
	}
	runtime.KeepAlive(all)
}

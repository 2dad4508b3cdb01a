package sim

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// sizeError is how far from the truth an estimate of the network's size may be.
const sizeError = .10

// checkSize fails the test if size is not the number of nodes that are up, but for
// the one that asks.
func checkSize(t *testing.T, w *World, size float64) {
	t.Helper()
	up := -1
	for _, h := range w.Hosts {
		if !h.Down {
			up++
		}
	}
	off := size/float64(up) - 1
	t.Logf("-seed=%d: %d other nodes, %.0f estimated, %+.1f%%", *seed, up, size, 100*off)
	if math.Abs(off) > sizeError {
		t.Errorf("the estimate is %.1f%% off, want at most %.0f%%", 100*off, 100*sizeError)
	}
}

// checkSizeFromLookups makes 300 lookups at the node that joined last and checks what
// it has learned of the size of the network. The others remember for some more lookups
// how small the world was when they joined.
func checkSizeFromLookups(t *testing.T, w *World) {
	t.Helper()
	const lookups = 300
	h, ended := w.Hosts[len(w.Hosts)-1], 0
	for i := range lookups {
		w.Clock.AfterFunc(time.Duration(i)*lookupInterval, func() {
			h.Lookup(kademlia.Lookup{
				Target: krpc.RandomID(w.Rand),
				Kind:   kademlia.LookupFindNode,
				Done:   func(kademlia.LookupResult) { ended++ },
			})
		})
	}
	w.Clock.RunUntil(func() bool { return ended == lookups }, time.Hour)
	checkSize(t, w, h.Stats().NetworkSize)
}

// checkSizeFromUpkeep lets thirty more nodes join and checks what the median of them
// has learned after an hour without a lookup of its own.
func checkSizeFromUpkeep(t *testing.T, w *World) {
	t.Helper()
	const newcomers = 30
	for range newcomers {
		w.Grow()
		w.Clock.Run(time.Second)
	}
	w.Clock.Run(time.Hour)
	var sizes []float64
	for _, h := range w.Hosts[len(w.Hosts)-newcomers:] {
		sizes = append(sizes, h.Stats().NetworkSize)
	}
	slices.Sort(sizes)
	t.Logf("%.0f", sizes)
	checkSize(t, w, (sizes[newcomers/2-1]+sizes[newcomers/2])/2)
}

// The upkeep of an hour is enough to know how large the network is.
func TestUpkeepTellsTheSizeOfTheNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("an hour of so many nodes takes too long")
	}
	checkSizeFromUpkeep(t, build(t, Config{Nodes: 500}))
}

func TestSizeOfAnIPv6Network(t *testing.T) {
	w := build(t, Config{Nodes: 300, IPv6: true})
	checkSizeFromLookups(t, w)
	checkSizeFromUpkeep(t, w)
}

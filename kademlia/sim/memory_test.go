package sim

import (
	"runtime"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// heap returns the bytes of live memory.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a node costs follows what it knows, not what it may remember.
func TestMemoryOfANode(t *testing.T) {
	const nodes = 1000
	before := heap()
	w := build(t, Config{Nodes: nodes})
	contacts, remembered := 0, 0
	for _, h := range w.Hosts {
		s := h.Stats()
		contacts += s.Nodes()
		remembered += s.Remembered
	}
	bytes := (heap() - before) / nodes
	t.Logf("%d bytes a node, with %d contacts and %d remembered", bytes, contacts/nodes, remembered/nodes)
	if bytes > 20<<10 {
		t.Errorf("%d bytes a node", bytes)
	}
	runtime.KeepAlive(w)
}

// A node that looks up much starts ever closer to its targets.
func TestLookupsOfANodeThatRemembers(t *testing.T) {
	w := build(t, Config{Nodes: 1000})
	measured := func(memory int) (hops, queries float64) {
		const lookups = 300
		w.cfg.Memory = memory
		h := w.Grow()
		w.Clock.Run(time.Minute)
		for range 200 {
			w.Lookup(h, krpc.RandomID(w.Rand))
		}
		for range lookups {
			res := w.Lookup(h, krpc.RandomID(w.Rand))
			hops += float64(res.Hops) / lookups
			queries += float64(res.Queries) / lookups
		}
		t.Logf("%d remembered: %.2f hops, %.1f queries", h.Stats().Remembered, hops, queries)
		return hops, queries
	}
	hops, queries := measured(-1)
	fewerHops, fewerQueries := measured(0)
	if fewerHops > .75*hops || fewerQueries > .97*queries {
		t.Error("the memory is of little use")
	}
}

package indexer

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Checkpoint is where a sweep is: what an Indexer needs to go on with it, in a later
// process. It holds the nodes of one zone, but no info-hashes. It never changes.
type Checkpoint struct {
	begun, done bool
	v6          bool
	zone        zone
	size        float64
	totals      totals
	answered    []visit // of the zone
	silent      []visit
	fresh       []krpc.NodeInfo // to be asked
	stale       []krpc.NodeInfo // asked once, without an answer so far
	seeds       []krpc.NodeInfo
}

// visit is a node of the zone that is not to be asked before the given time.
type visit struct {
	krpc.NodeInfo
	until time.Time
}

// Checkpoint returns where the sweep is.
func (ix *Indexer) Checkpoint() Checkpoint {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.zone == nil {
		return ix.cfg.Resume
	}
	c := Checkpoint{
		begun: true, done: ix.done, v6: ix.node.Is6(), zone: ix.zone.zone, size: ix.size,
		totals: ix.totals, seeds: slices.Clone(ix.seeds),
	}
	if ix.done {
		return c
	}
	for _, nd := range sorted(maps.Values(ix.zone.nodes)) {
		switch v := (visit{nd.NodeInfo, nd.until}); {
		case nd.answered:
			c.answered = append(c.answered, v)
		case !nd.until.IsZero():
			c.silent = append(c.silent, v)
		}
	}
	for _, nd := range slices.Concat(sorted(maps.Keys(ix.asked)), ix.doubtful, ix.queue) {
		if nd.tries == 0 {
			c.fresh = append(c.fresh, nd.NodeInfo)
		} else {
			c.stale = append(c.stale, nd.NodeInfo)
		}
	}
	return c
}

// sorted returns nodes by id, so that simulations repeat.
func sorted(nodes iter.Seq[*node]) []*node {
	return slices.SortedFunc(nodes, func(a, b *node) int { return a.ID.Compare(b.ID) })
}

// restore goes to where c was.
func (ix *Indexer) restore(c *Checkpoint) {
	ix.size, ix.totals, ix.seeds = c.size, c.totals, slices.Clone(c.seeds)
	ix.zone = newArea(c.zone, ix.estimate(c.zone.prefix))
	now := ix.clock.Now()
	ix.restoreVisits(c.answered, true, now)
	ix.restoreVisits(c.silent, false, now)
	for tries, list := range [][]krpc.NodeInfo{c.fresh, c.stale} {
		for _, n := range list {
			nd := &node{NodeInfo: n}
			if ix.zone.contains(n.ID) {
				nd, _ = ix.zone.add(n)
			}
			if nd != nil && ix.node.Usable(n.Addr) {
				nd.tries = tries
				ix.queue = append(ix.queue, nd)
			}
		}
	}
	ix.beganShare = ix.share()
}

// restoreVisits lets the nodes count as visited that may not be asked again yet. The
// others are asked when they are found; so are those that name a time which nobody can
// have asked for (saved, times are rounded up to the second).
func (ix *Indexer) restoreVisits(visits []visit, answered bool, now time.Time) {
	z := ix.zone
	for _, v := range visits {
		if left := v.until.Sub(now); left <= 0 || left > MaxInterval+time.Second || !z.contains(v.ID) {
			continue
		}
		if nd, _ := z.add(v.NodeInfo); nd != nil {
			nd.answered, nd.until = answered, v.until
			z.visited++
			if answered {
				z.answered++
			}
		}
	}
}

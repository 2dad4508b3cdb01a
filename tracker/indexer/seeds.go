package indexer

import (
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// maxSeeds bounds the nodes that are carried ahead.
const maxSeeds = 256

// seeds are nodes found ahead of the zone, by id. If there are too many, the farthest
// ahead goes.
type seeds []krpc.NodeInfo

func (s *seeds) add(n krpc.NodeInfo) {
	at, found := slices.BinarySearchFunc(*s, n.ID, func(o krpc.NodeInfo, id krpc.ID) int { return o.ID.Compare(id) })
	if found || at == maxSeeds {
		return
	}
	if len(*s) == maxSeeds {
		*s = (*s)[:maxSeeds-1]
	}
	*s = slices.Insert(*s, at, n)
}

// take removes and returns the seeds in z and those before it.
func (s *seeds) take(z zone) []krpc.NodeInfo {
	n := 0
	for n < len(*s) && !z.isBefore((*s)[n].ID) {
		n++
	}
	taken := slices.Clone((*s)[:n])
	*s = slices.Delete(*s, 0, n)
	return taken
}

// recent remembers info-hashes: the last limit distinct ones at least, twice as many at
// most. An info-hash is at the nodes closest to it, so that those of one zone are
// enough to tell what is new.
type recent struct {
	limit      int
	young, old map[krpc.ID]struct{}
}

// add takes note of ih and tells whether it is new.
func (r *recent) add(ih krpc.ID) bool {
	if _, known := r.young[ih]; known {
		return false
	}
	if r.young == nil || len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[krpc.ID]struct{})
	}
	r.young[ih] = struct{}{}
	_, known := r.old[ih]
	return !known
}

// len returns how many are remembered, those in both generations twice.
func (r *recent) len() int { return len(r.young) + len(r.old) }

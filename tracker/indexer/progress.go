package indexer

import "time"

const (
	// maxStored bounds what one node is believed to store.
	maxStored = 1_000_000
	// priorNodes is how many nodes counted outweigh the first estimate.
	priorNodes = 64
)

// totals are the running counts of a sweep, over all its runs.
type totals struct {
	queries, visited, answered, supporting int64
	samples, hashes                        int64
	dropped                                int64
	stored                                 int64 // sum of num
	behind                                 int64 // nodes that answered, of the zones that were left
}

// Progress is a snapshot of a sweep. The counts go on over a Checkpoint.
type Progress struct {
	Visited    int64 // nodes: they answered, or did not when asked twice
	Answered   int64 // of these
	Supporting int64 // of these: sent samples (BEP 51)
	Queries    int64 // sent, repeated ones and those of lookups included
	Samples    int64 // info-hashes received
	Hashes     int64 // of these: new, and told to OnSample
	Dropped    int64 // times that a node was named for which its zone, or its address, had no room

	Share    float64       // of the keyspace that is done, 0 to 1
	TimeLeft time.Duration // estimated from this run; 0: not known
	// NetworkSize is the estimated number of nodes that answer; 0: not known. So is
	// StoredHashes of the info-hashes in the network: from what nodes say to store, if
	// each is stored at the k nodes closest to it.
	NetworkSize  int64
	StoredHashes int64

	ZoneNodes, MaxZoneNodes   int // known in the zone under way
	Asked, MaxAsked           int // queries under way, but for lookups
	Seeds, MaxSeeds           int // nodes of later zones
	Remembered, MaxRemembered int // info-hashes, to tell what is new
	Done                      bool
}

// Progress returns how far the sweep is.
func (ix *Indexer) Progress() Progress {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	t := &ix.totals
	p := Progress{
		Visited: t.visited, Answered: t.answered, Supporting: t.supporting,
		Queries: t.queries, Samples: t.samples, Hashes: t.hashes, Dropped: t.dropped,
		Asked: len(ix.asked), MaxAsked: ix.bounds.asked,
		Seeds: len(ix.seeds), MaxSeeds: maxSeeds,
		Remembered: ix.seen.len(), MaxRemembered: 2 * ix.bounds.seen,
		Share: ix.share(), Done: ix.done,
	}
	if ix.zone == nil {
		return p
	}
	p.ZoneNodes, p.MaxZoneNodes = len(ix.zone.nodes), ix.zone.max()
	size := ix.estimate(ix.zone.prefix)
	if ix.done {
		size = float64(t.behind)
	}
	p.NetworkSize = int64(size)
	if t.supporting > 0 {
		p.StoredHashes = int64(float64(t.stored) / float64(t.supporting) * size / float64(ix.node.K()))
	}
	if made := p.Share - ix.beganShare; made > 0 && !ix.over {
		took := ix.clock.Now().Sub(ix.began)
		p.TimeLeft = time.Duration(float64(took) * (1 - p.Share) / made)
	}
	return p
}

// share returns the part of the keyspace that is done. Of the zone it is the part of
// the nodes known so far.
func (ix *Indexer) share() float64 {
	z := ix.zone
	switch {
	case ix.done:
		return 1
	case z == nil:
		return 0
	case len(z.nodes) == 0:
		return z.start()
	}
	return z.start() + z.share()*float64(z.visited)/float64(len(z.nodes))
}

// estimate returns the number of nodes in the network: the first estimate, as corrected
// by what was counted before prefix.
func (ix *Indexer) estimate(prefix uint64) float64 {
	counted := zone{prefix: prefix}.start()
	return (float64(ix.totals.behind) + priorNodes) / (counted + priorNodes/ix.size)
}

package tracker

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/kadnode/kadnode/krpc"
)

// Filters cost a SHA-1 a peer: for 32 peers as much as two or three replies, for
// 2 000 as much as a hundred. So those of a larger swarm are built once a tick at
// most, and kept; and because nobody may make us hash without end, only so many
// are built in a tick.
const (
	smallSwarm = 32 // peers
	maxFilters = 32 // that a shard keeps
)

// filters are what a scrape of one swarm is answered with (BEP 33).
type filters struct {
	seeds, peers krpc.Bloom
	made         uint32 // the tick
}

// Scrape writes the filters of the swarm of ih: of the IP addresses of its seeds,
// and of its other peers, both families in one. An address with several peers, one
// of which is a seed, counts as a seed. Those of a swarm of more than 32 peers may
// be 16 seconds old.
//
// It reports false, and writes nothing, if there are no peers, or if the swarm has
// more than 32 of them and in these 16 seconds so many others like it were scraped
// that its shard keeps no more filters. It allocates nothing but the memory in
// which filters are kept.
func (s *Swarms) Scrape(ih krpc.ID, seeds, peers *krpc.Bloom, now time.Time) bool {
	t, sh := s.tick(now), s.shard(&ih)
	w := filterWorks.Get().(*filterWork)
	defer filterWorks.Put(w)
	switch sh.beginScrape(&ih, t, w) {
	case scrapeRefused:
		return false
	case scrapeSmall:
		w.build()
	case scrapeLarge:
		w.build()
		sh.keepFilters(&ih, t, w)
	}
	*seeds, *peers = w.seeds, w.peers
	return true
}

// scrapeState is what remains to be done for a scrape.
type scrapeState uint8

const (
	scrapeRefused scrapeState = iota
	scrapeKept                // nothing: the filters were there
	scrapeSmall               // to build them
	scrapeLarge               // to build them and keep them
)

// beginScrape puts into w the filters of ih that are kept, or what to build them
// from: that is done without the lock.
func (sh *shard) beginScrape(ih *krpc.ID, t uint32, w *filterWork) scrapeState {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sw := sh.find(ih, t)
	if sw == nil {
		return scrapeRefused
	}
	if sw.peers[v4].len()+sw.peers[v6].len() <= smallSwarm {
		w.entries.load(sw, t, sh.limits.life)
		return scrapeSmall
	}
	f := sh.keptFilters(ih)
	switch {
	case f != nil && f.made >= t:
		w.seeds, w.peers = f.seeds, f.peers
		return scrapeKept
	case f != nil:
		// Until the new ones are there, the old ones have to do for others.
		f.made = t
		sh.filters.Get(*ih) // it is now the newest
	case !sh.mayKeepFilters(t):
		sh.counts.scrapesRefused++
		return scrapeRefused
	}
	w.entries.load(sw, t, sh.limits.life)
	return scrapeLarge
}

// keptFilters returns the filters of ih that are kept, or nil.
func (sh *shard) keptFilters(ih *krpc.ID) *filters {
	if sh.filters == nil {
		return nil
	}
	f, _ := sh.filters.Peek(*ih)
	return f
}

// mayKeepFilters tells whether there is room for the filters of one more swarm:
// those that were made longest ago make way, but not in the tick that they are of.
func (sh *shard) mayKeepFilters(t uint32) bool {
	if sh.filters == nil || sh.filters.Len() < maxFilters {
		return true
	}
	_, oldest, _ := sh.filters.GetOldest()
	return oldest.made < t
}

func (sh *shard) keepFilters(ih *krpc.ID, t uint32, w *filterWork) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.peek(ih) == nil {
		return // it has gone meanwhile, and its filters would stay behind
	}
	f := sh.keptFilters(ih)
	if f == nil {
		if sh.filters == nil {
			// The error is for sizes below 1.
			sh.filters, _ = simplelru.NewLRU[krpc.ID, *filters](maxFilters, nil)
		}
		f = new(filters)
		sh.filters.Add(*ih, f)
	}
	*f = filters{w.seeds, w.peers, t}
}

// forgetFilters gives back what was kept for ih, which is about to go.
func (sh *shard) forgetFilters(ih *krpc.ID) {
	if sh.filters != nil {
		sh.filters.Remove(*ih)
	}
}

// filterWork is where filters are built.
type filterWork struct {
	entries      liveEntries
	seedIPs      map[netip.Addr]struct{}
	seeds, peers krpc.Bloom
}

// filterWorks recycles work spaces among all stores.
var filterWorks = sync.Pool{New: func() any { return &filterWork{seedIPs: make(map[netip.Addr]struct{})} }}

// build makes the filters of the entries.
func (w *filterWork) build() {
	clear(w.seedIPs)
	w.seeds, w.peers = krpc.Bloom{}, krpc.Bloom{}
	w.insert(true)
	w.insert(false)
}

// insert inserts the seeds, or, after them, the others.
func (w *filterWork) insert(seeds bool) {
	for f, b := range w.entries {
		for width := family(f).width(); len(b) > 0; b = b[width:] {
			if seed := b[width-1]&(seedBit>>8) != 0; seed != seeds {
				continue
			}
			peer, _ := krpc.ParseCompactAddr(b[:width-stampLen])
			ip := peer.Addr()
			if seeds {
				w.seedIPs[ip] = struct{}{}
				w.seeds.Insert(ip)
			} else if _, seeding := w.seedIPs[ip]; !seeding {
				w.peers.Insert(ip)
			}
		}
	}
}

package kademlia

import (
	"net/netip"
	"sync/atomic"

	"github.com/kadnode/kadnode/krpc"
)

// counters are the running counts of a Node.
type counters struct {
	tokensRefused atomic.Uint64
	idChanges     atomic.Uint64
	alarms        atomic.Uint64
	lookups       [numLookupKinds]atomic.Pointer[lookupCounters]
}

// lookupCounters describe the ended lookups of one kind. They are made on the
// first of it: most nodes of a simulation never see most kinds.
type lookupCounters struct{ hops, seconds, messages *krpc.Histogram }

// The bounds of these histograms, which share them.
var (
	hopBounds     = [...]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16}
	secondBounds  = [...]float64{.05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 20}
	messageBounds = [...]float64{5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 250}
)

func (c *counters) lookup(kind LookupKind, res LookupResult) {
	h := c.lookups[kind].Load()
	if h == nil {
		c.lookups[kind].CompareAndSwap(nil, &lookupCounters{
			hops:     krpc.NewHistogram(hopBounds[:]...),
			seconds:  krpc.NewHistogram(secondBounds[:]...),
			messages: krpc.NewHistogram(messageBounds[:]...),
		})
		h = c.lookups[kind].Load()
	}
	h.hops.Observe(float64(res.Hops))
	h.seconds.Observe(res.Took.Seconds())
	h.messages.Observe(float64(res.Queries))
}

// LookupStats describes the ended lookups of one kind.
type LookupStats struct {
	Kind     LookupKind
	Hops     krpc.HistogramSnapshot // to the closest node
	Seconds  krpc.HistogramSnapshot
	Messages krpc.HistogramSnapshot // queries sent
}

// BucketStats is the fill of one bucket.
type BucketStats struct {
	Good, Questionable, Bad int // contacts by their state (BEP 5)
	Spares                  int // in the replacement cache
	Capacity                int
}

// Stats is a snapshot of a Node.
type Stats struct {
	ID            krpc.ID
	Is6           bool
	Joined        bool
	Buckets       []BucketStats // by the length of the prefix shared with ID
	Remembered    int           // contacts that lookups can start from, beside those in the buckets
	MaxRemembered int
	RecentLookups int // ended lately, whose tokens may be used again
	MaxRecent     int
	Lookups       []LookupStats // of the kinds that have been
	ActiveLookups int
	Verifying     int // strangers that wait for a ping
	MaxVerifying  int
	TokensRefused uint64
	IDChanges     uint64
	Alarms        uint64 // lookups that have found too many nodes too close to their target
	AlarmedKeys   int    // targets for which that was so within the hour, the own id among them
	MaxAlarmed    int
	ExternalAddr  netip.Addr // where others see us; the zero Addr until they agree
	// NetworkSize is the estimated number of other nodes that answer in the DHT of this
	// address family; 0: not known, or fewer than k.
	NetworkSize float64
	SizeLookups int // lookups that NetworkSize rests on, at most some 256: older ones fade
	Endpoint    krpc.Stats
}

// Nodes returns the number of contacts in the table.
func (s *Stats) Nodes() int {
	n := 0
	for _, b := range s.Buckets {
		n += b.Good + b.Questionable + b.Bad
	}
	return n
}

// Stats returns a snapshot of the node's counters and gauges.
func (n *Node) Stats() Stats {
	s := Stats{Is6: n.v6, Joined: n.Joined(), MaxVerifying: maxVerifying, Endpoint: n.endpoint.Stats()}
	s.TokensRefused, s.IDChanges = n.counters.tokensRefused.Load(), n.counters.idChanges.Load()
	for kind := range n.counters.lookups {
		if h := n.counters.lookups[kind].Load(); h != nil {
			s.Lookups = append(s.Lookups, LookupStats{LookupKind(kind), h.hops.Snapshot(), h.seconds.Snapshot(), h.messages.Snapshot()})
		}
	}
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Alarms, s.AlarmedKeys, s.MaxAlarmed = n.counters.alarms.Load(), n.alarmedKeys(), maxAlarms
	s.ID, s.ActiveLookups, s.Verifying = n.table.self, len(n.lookups), len(n.verifying)
	s.Remembered, s.MaxRemembered = n.table.memory.count, n.table.memory.limit()
	s.RecentLookups, s.MaxRecent = n.recentLookups(), maxRecent
	s.ExternalAddr, s.NetworkSize, s.SizeLookups = n.votes.current, n.size.nodes(n.cfg.K), int(n.size.lookups+.5)
	for i := range n.table.buckets {
		b := &n.table.buckets[i]
		bs := BucketStats{Spares: len(b.spares), Capacity: n.table.capacity(i)}
		for j := range b.live {
			switch c := &b.live[j]; {
			case !c.answers():
				bs.Bad++
			case c.questionable(n.table.at(now)):
				bs.Questionable++
			default:
				bs.Good++
			}
		}
		s.Buckets = append(s.Buckets, bs)
	}
	return s
}

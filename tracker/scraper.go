package tracker

import (
	"context"
	"math"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// maxEstimate is the most addresses that a filter is believed to have: nodes are
// to keep no more of a swarm (BEP 33), and beyond them a filter is full, which is
// also the lie that costs a liar least.
const maxEstimate = 6000

// ScrapeResult is how a scrape ended. Seeds and Peers are rounded estimates of
// numbers of IP addresses: their standard error is 2 to 3 % up to 3 000 and 7 % at
// 6 000, and they end at 7 806. A host in the DHTs of both families counts in both.
type ScrapeResult struct {
	Seeds int // peers that have everything
	Peers int // all others
	// Of the k closest nodes of each lookup: those that sent filters that are
	// believed, and those that sent peers alone, which count as no seeds.
	Nodes, Legacy int
	Lookups       []kademlia.LookupResult // in the order of the nodes
}

// FindScrape estimates the size of the swarm of ih (BEP 33): it looks up ih at
// every node at once, and unites the filters of the k closest nodes that replied
// and of our own store. onDone is called once, perhaps before FindScrape returns,
// and may not block. stop ends it early, with kademlia.ErrStopped in the result.
func (t *Tracker) FindScrape(ih krpc.ID, onDone func(ScrapeResult)) (stop func()) {
	s := &scrape{
		search:  search{t: t, ih: ih, kind: kademlia.LookupScrape},
		replies: make([]map[krpc.NodeInfo]*krpc.Message, len(t.nodes)),
	}
	for i := range s.replies {
		s.replies[i] = make(map[krpc.NodeInfo]*krpc.Message)
	}
	s.Start(t.nodes, s.lookup, func() { onDone(s.sum()) })
	return s.Stop
}

// Scrape estimates the size of the swarm of ih, as FindScrape does, once a node has
// joined the DHT, and waits for the outcome. The error is nil if the lookup of a
// node has run to its end, whatever it found, and else ctx's or kademlia's. The
// result tells of what was found till then in any case.
func (t *Tracker) Scrape(ctx context.Context, ih krpc.ID) (ScrapeResult, error) {
	if err := kademlia.AwaitJoined(ctx, t.nodes); err != nil {
		return ScrapeResult{}, err
	}
	done := make(chan ScrapeResult, 1)
	stop := t.FindScrape(ih, func(res ScrapeResult) { done <- res })
	defer context.AfterFunc(ctx, stop)()
	res := <-done
	err := kademlia.LookupsFailed(res.Lookups)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return res, err
}

// scrape is a search whose replies are kept until it is known which nodes are the
// closest. They are as many as a lookup has queries at most.
type scrape struct {
	search
	replies []map[krpc.NodeInfo]*krpc.Message // by node of ours, and who sent it
}

func (s *scrape) lookup(i int) kademlia.Lookup {
	l := s.search.lookup(i)
	l.Visit = func(from krpc.NodeInfo, r *krpc.Message) { s.replies[i][from] = r }
	return l
}

// sum unites what our store and the closest nodes have.
func (s *scrape) sum() ScrapeResult {
	res := ScrapeResult{Lookups: s.Results}
	var seeds, peers krpc.Bloom
	s.t.store.Scrape(s.ih, &seeds, &peers, s.t.clock.Now())
	var legacy []netip.Addr
	for i, n := range s.t.nodes {
		for _, c := range s.Results[i].Closest {
			switch r := s.replies[i][c.NodeInfo]; {
			case r.BFsd != nil && r.BFpe != nil:
				if sd, pe := (*krpc.Bloom)(r.BFsd), (*krpc.Bloom)(r.BFpe); !full(sd) && !full(pe) {
					res.Nodes++
					seeds.Union(sd)
					peers.Union(pe)
				}
			case len(r.Values) > 0:
				res.Legacy++
				legacy = appendUsable(legacy, n, r)
			}
		}
	}
	// Only now all seeds are known, of which none is to count twice.
	for _, ip := range legacy {
		if !seeds.Contains(ip) {
			peers.Insert(ip)
		}
	}
	res.Seeds, res.Peers = int(math.Round(seeds.Estimate())), int(math.Round(peers.Estimate()))
	return res
}

func full(f *krpc.Bloom) bool { return f.Estimate() > maxEstimate }

// appendUsable appends the addresses of the peers in a reply that n got.
func appendUsable(dst []netip.Addr, n *kademlia.Node, r *krpc.Message) []netip.Addr {
	for peer := range r.EachPeer {
		if n.Usable(peer) {
			dst = append(dst, peer.Addr())
		}
	}
	return dst
}

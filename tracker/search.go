package tracker

import (
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/serial"
	"github.com/kadnode/kadnode/krpc"
)

// maxPeers bounds the distinct peers of one search; what comes after is dropped.
const maxPeers = 10_000

// PeersResult is how a search for peers ended.
type PeersResult struct {
	Peers   int                     // distinct ones
	Lookups []kademlia.LookupResult // in the order of the nodes
}

// FindPeers looks up the peers of ih at every node at once. onPeer is called for
// each usable peer once, at most 10 000 times, beginning with those in our own
// store; onDone is called once, after that. The calls are made one at a time,
// perhaps before FindPeers returns, and may not block. stop ends the search early,
// with kademlia.ErrStopped in the result.
func (t *Tracker) FindPeers(ih krpc.ID, onPeer func(netip.AddrPort), onDone func(PeersResult)) (stop func()) {
	s := &search{t: t, ih: ih, kind: kademlia.LookupGetPeers, onPeer: onPeer}
	left := len(t.nodes)
	s.onEnd = func(int) {
		if left--; left == 0 {
			onDone(PeersResult{Peers: len(s.peers), Lookups: s.results})
		}
	}
	s.start()
	return s.stop
}

// search is a get_peers lookup for ih at every node at once. Its callbacks are
// made, and its fields used, by events alone.
type search struct {
	t       *Tracker
	ih      krpc.ID
	kind    kademlia.LookupKind
	onPeer  func(netip.AddrPort)                                // nil: peers are only counted
	onReply func(node int, from krpc.NodeInfo, r *krpc.Message) // nil: nothing more is done
	onEnd   func(node int)                                      // the lookup of a node has ended

	events  serial.Calls
	peers   map[netip.AddrPort]struct{}
	stops   []func()
	results []kademlia.LookupResult // by node
	stopped bool
}

// start begins the search; after a stop it ends at once.
func (s *search) start() { s.events.Do(s.begin) }

func (s *search) begin() {
	s.peers = make(map[netip.AddrPort]struct{})
	s.results = make([]kademlia.LookupResult, len(s.t.nodes))
	for _, n := range s.t.nodes {
		s.addStored(n)
	}
	for i, n := range s.t.nodes {
		s.stops = append(s.stops, n.Lookup(s.lookup(i, n)))
	}
	if s.stopped {
		s.halt()
	}
}

// stop ends the search early. It may be called at any time, and more than once.
func (s *search) stop() {
	s.events.Do(func() {
		s.stopped = true
		s.halt()
	})
}

func (s *search) halt() {
	for _, stop := range s.stops {
		stop()
	}
}

func (s *search) lookup(i int, n *kademlia.Node) kademlia.Lookup {
	return kademlia.Lookup{
		Target: s.ih,
		Kind:   s.kind,
		Method: krpc.MethodGetPeers,
		Fill: func(m *krpc.Message) {
			m.HasInfoHash, m.InfoHash, m.Scrape = true, s.ih, s.kind == kademlia.LookupScrape
		},
		Tokens: s.kind == kademlia.LookupAnnounce,
		Visit: func(from krpc.NodeInfo, r *krpc.Message) {
			s.events.Do(func() {
				s.addPeers(n, r)
				if s.onReply != nil {
					s.onReply(i, from, r)
				}
			})
		},
		Done: func(res kademlia.LookupResult) {
			s.events.Do(func() {
				s.results[i] = res
				s.onEnd(i)
			})
		},
	}
}

// addStored takes in the peers that were announced to ourselves.
func (s *search) addStored(n *kademlia.Node) {
	o := SampleOptions{V6: n.Is6(), Max: maxPeers}
	s.addPeers(n, &krpc.Message{Values: s.t.swarms.Sample(nil, s.ih, o, s.t.clock.Now())})
}

// addPeers takes in the peers of a reply that node n got.
func (s *search) addPeers(n *kademlia.Node, r *krpc.Message) {
	for peer := range r.EachPeer {
		if _, known := s.peers[peer]; known || !n.Usable(peer) {
			continue
		}
		if s.stopped || len(s.peers) == maxPeers {
			return
		}
		s.peers[peer] = struct{}{}
		if s.onPeer != nil {
			s.onPeer(peer)
		}
	}
}

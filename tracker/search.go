package tracker

import (
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
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
	s.start(s.lookup, func() { onDone(PeersResult{Peers: len(s.peers), Lookups: s.Results}) })
	return s.Stop
}

// search is a get_peers lookup for ih at every node at once. Its fields are used by its
// callbacks alone.
type search struct {
	kademlia.Lookups
	t      *Tracker
	ih     krpc.ID
	kind   kademlia.LookupKind
	onPeer func(netip.AddrPort) // nil: peers are only counted
	peers  map[netip.AddrPort]struct{}
}

// start begins the search with what our own store has.
func (s *search) start(lookup func(node int) kademlia.Lookup, ended func()) {
	s.Do(s.addStored)
	s.Start(s.t.nodes, lookup, ended)
}

// lookup returns what node i looks up.
func (s *search) lookup(i int) kademlia.Lookup {
	return kademlia.Lookup{
		Target: s.ih,
		Kind:   s.kind,
		Method: krpc.MethodGetPeers,
		Fill: func(m *krpc.Message) {
			m.HasInfoHash, m.InfoHash, m.Scrape = true, s.ih, s.kind == kademlia.LookupScrape
		},
		Tokens: s.kind == kademlia.LookupAnnounce,
		Wide:   s.kind == kademlia.LookupGetPeers,
		Visit:  func(_ krpc.NodeInfo, r *krpc.Message) { s.addPeers(s.t.nodes[i], r) },
	}
}

// addStored takes in the peers that were announced to ourselves.
func (s *search) addStored() {
	s.peers = make(map[netip.AddrPort]struct{})
	for _, n := range s.t.nodes {
		o := SampleOptions{V6: n.Is6(), Max: maxPeers}
		stored, _ := s.t.store.SampleAndFull(nil, s.ih, o, netip.Addr{}, s.t.clock.Now())
		s.addPeers(n, &krpc.Message{Values: stored})
	}
}

// addPeers takes in the peers of a reply that node n got.
func (s *search) addPeers(n *kademlia.Node, r *krpc.Message) {
	for peer := range r.EachPeer {
		if _, known := s.peers[peer]; known || !n.Usable(peer) {
			continue
		}
		if s.Stopped || len(s.peers) == maxPeers {
			return
		}
		s.peers[peer] = struct{}{}
		if s.onPeer != nil {
			s.onPeer(peer)
		}
	}
}

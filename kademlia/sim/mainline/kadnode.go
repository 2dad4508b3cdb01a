package mainline

import (
	"math/rand/v2"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// KadNode is the node of package kademlia with a tracker, as it ships. tune, unless
// nil, changes its configuration.
func KadNode(name string, tune func(*kademlia.NodeConfig)) Policy {
	return Policy{Name: name, New: func(e Env) Subject { return newKadNode(e, tune) }}
}

type kadNode struct {
	*kademlia.Node
	tracker   *tracker.Tracker
	bootstrap netip.AddrPort
}

func newKadNode(e Env, tune func(*kademlia.NodeConfig)) *kadNode {
	s := new(kadNode)
	trackerRand := rand.New(rand.NewPCG(e.Rand.Uint64(), 0)) // the node keeps its own to itself
	cfg := kademlia.NodeConfig{
		Transport: e.Transport,
		Clock:     e.Clock,
		Rand:      e.Rand,
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			e.Clock.AfterFunc(0, func() { done([]netip.AddrPort{s.bootstrap}, nil) })
		},
	}
	if tune != nil {
		tune(&cfg)
	}
	var err error
	if s.Node, err = kademlia.NewNode(cfg); err != nil {
		panic(err)
	}
	s.tracker = tracker.New([]*kademlia.Node{s.Node}, tracker.Config{Swarms: tracker.SwarmsConfig{Rand: trackerRand}})
	return s
}

// Join implements Subject. It is ready when Tracker.GetPeers would be.
func (s *kadNode) Join(bootstrap netip.AddrPort, ready func()) {
	s.bootstrap = bootstrap
	s.WhenJoined(ready)
	s.Start()
	s.tracker.Start()
}

// FindPeers implements Subject.
func (s *kadNode) FindPeers(ih krpc.ID, onPeer func(), onEnd func(queries int)) {
	s.tracker.FindPeers(ih, func(netip.AddrPort) { onPeer() }, func(res tracker.PeersResult) {
		onEnd(res.Lookups[0].Queries)
	})
}

// Close implements Subject.
func (s *kadNode) Close() {
	s.tracker.Close()
	s.Node.Close()
}

package tracker

import (
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// TestServingAllocatesNothing delivers each query of BEP 5 to a node of a joined
// network, and has the reply written.
func TestServingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w, m, ih := benchNode(t, 500)
	now, out, small := w.clock.Now(), new(outbox), hashOf(3)
	fill(t, m.swarms, small, 10, smallSwarm, now)
	for name, q := range map[string]krpc.Message{
		"ping":                     {Method: krpc.MethodPing},
		"find_node":                {Method: krpc.MethodFindNode, HasTarget: true, Target: hashOf(9)},
		"find_node, both":          {Method: krpc.MethodFindNode, HasTarget: true, Target: hashOf(9), Want: krpc.WantN4 | krpc.WantN6},
		"get_peers":                {Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih},
		"get_peers, noseed":        {Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, NoSeed: true},
		"get_peers, scrape":        {Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, Scrape: true},
		"get_peers, scrape, small": {Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: small, Scrape: true},
		"get_peers, none":          {Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: hashOf(2)},
		"sample_infohashes":        {Method: krpc.MethodSampleInfohashes, HasTarget: true, Target: hashOf(9)},
		"announce_peer": {
			Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 4001,
			Token: m.node.AppendToken(nil, stranger.Addr(), ih),
		},
		"announce_peer, bad token": {
			Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 4001, Token: []byte("12345678"),
		},
	} {
		packet := packetOf(q)
		if n := testing.AllocsPerRun(200, func() { m.node.Deliver(now, stranger, packet, out) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if len(out.sent) == 0 {
			t.Errorf("%s: not answered", name)
		}
		out.sent = nil
	}
}

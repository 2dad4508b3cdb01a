package torrentdht

import (
	"context"
	"net/netip"
	"testing"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/tracker"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// node is a node of ours that keeps peers and items.
type node struct {
	dht     *kademlia.DHT
	tracker *tracker.Tracker
	items   *store.Items
}

// startNodes starts nodes on loopback that have joined through the first.
func startNodes(t *testing.T, ctx context.Context, count int) []*node {
	t.Helper()
	var nodes []*node
	for range count {
		cfg := kademlia.Config{
			Listen:     []netip.AddrPort{netip.AddrPortFrom(loopback, 0)},
			AllowLocal: true,
			RateLimit:  -1, // all queries come from one address
		}
		if len(nodes) > 0 {
			cfg.Bootstrap = []string{nodes[0].addr().String()}
		}
		n := newNode(t, cfg)
		if err := kademlia.AwaitJoined(ctx, n.dht.Nodes()); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func newNode(t *testing.T, cfg kademlia.Config) *node {
	t.Helper()
	d, err := kademlia.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{d, tracker.New(d.Nodes(), tracker.Config{}), store.New(d.Nodes(), store.Config{})}
	d.Start()
	n.tracker.Start()
	n.items.Start()
	t.Cleanup(func() {
		n.items.Close()
		n.tracker.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// addr returns where the node is reached.
func (n *node) addr() netip.AddrPort { return n.dht.Nodes()[0].LocalAddr() }

// Package torrentdht holds kadnode against the client of
// github.com/anacrolix/torrent. It is a module of its own so that the many
// dependencies of that client stay out of kadnode's.
package torrentdht

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/e2etest"
	"github.com/kadnode/kadnode/e2e/netns"
)

func TestMain(m *testing.M) { e2etest.Main(m) }

// peerPort is where the client takes connections of peers.
const peerPort = 42069

// TestTransfer passes a file from one client to another that knows nothing of it
// but a magnet link without a tracker, through a network of kadnodes.
func TestTransfer(t *testing.T) {
	e2etest.Require(t)
	lab := e2etest.NewLab(t, 16)
	swap := e2etest.Build(t, ".", "./internal/swap")
	torrent := e2etest.NewTorrent(t)
	seeder, leecher := lab.NewHost(t), lab.NewHost(t)
	start := func(h *netns.Host, bootstrap *e2etest.Node, dir, what string) *e2etest.Process {
		return e2etest.Start(t, "swap "+what, h.Command(context.Background(), swap,
			"-bootstrap", bootstrap.Addr4().String(), "-dir", dir, "-port", strconv.Itoa(peerPort), what))
	}
	seed := start(seeder, lab.Nodes[3], torrent.Dir, torrent.Path)
	e2etest.Eventually(t, 60*time.Second, "the seeder is announced", func() error {
		seed.MustRun(t)
		return lab.HasPeer(leecher, lab.Nodes[7].Addr4(), torrent.InfoHash, netip.AddrPortFrom(seeder.Addr4, peerPort))
	})
	dir := t.TempDir()
	leech := start(leecher, lab.Nodes[11], dir, torrent.Magnet)
	e2etest.Eventually(t, 60*time.Second, "the file has arrived", func() error { return leech.Succeeded(t) })
	torrent.MustBeIn(t, dir)
}

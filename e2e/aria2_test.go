package e2e

import (
	"context"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/e2etest"
	"github.com/kadnode/kadnode/e2e/netns"
)

// family is an address family: which address of a node to use, and which options
// make aria2 speak the DHT in it and in no other.
type family struct {
	node  func(*e2etest.Node) netip.AddrPort
	host  func(*netns.Host) netip.Addr
	aria2 func(h *netns.Host, entry netip.AddrPort) []string
}

// any returns an address of the host with any port, for kadnode to have a node in this
// family and in no other.
func (f family) any(h *netns.Host) string { return netip.AddrPortFrom(f.host(h), 0).String() }

var (
	family4 = family{
		node: (*e2etest.Node).Addr4,
		host: func(h *netns.Host) netip.Addr { return h.Addr4 },
		aria2: func(_ *netns.Host, entry netip.AddrPort) []string {
			return []string{"--enable-dht=true", "--enable-dht6=false", "--disable-ipv6=true",
				"--dht-entry-point=" + entry.String()}
		},
	}
	family6 = family{
		node: (*e2etest.Node).Addr6,
		host: func(h *netns.Host) netip.Addr { return h.Addr6 },
		aria2: func(h *netns.Host, entry netip.AddrPort) []string {
			return []string{"--enable-dht=false", "--enable-dht6=true",
				"--dht-listen-addr6=" + h.Addr6.String(), "--dht-entry-point6=" + entry.String()}
		},
	}
)

// aria2Port is where aria2 takes connections of peers.
const aria2Port = 6991

// testAria2 passes a file from one aria2 to another that knows nothing of it but
// a magnet link without a tracker.
func testAria2(t *testing.T, lab *e2etest.Lab, f family, torrent *e2etest.Torrent) {
	seeder, leecher := lab.NewHost(t), lab.NewHost(t)
	seed := startAria2(t, f, seeder, lab.Nodes[3], torrent.Dir, "--seed-ratio=0", "--check-integrity=true", torrent.Path)
	e2etest.Eventually(t, 60*time.Second, "the seeder is announced", func() error {
		seed.MustRun(t)
		peer := netip.AddrPortFrom(f.host(seeder), aria2Port)
		return lab.HasPeer(leecher, f.node(lab.Nodes[7]), torrent.InfoHash, peer)
	})
	dir := t.TempDir()
	leech := startAria2(t, f, leecher, lab.Nodes[11], dir, "--seed-time=0", torrent.Magnet)
	// aria2 begins its first lookup after ten to thirty seconds.
	e2etest.Eventually(t, 120*time.Second, "the file has arrived", func() error { return leech.Succeeded(t) })
	torrent.MustBeIn(t, dir)
}

// startAria2 starts aria2 with no way to find a peer but the DHT.
func startAria2(t *testing.T, f family, h *netns.Host, entry *e2etest.Node, dir string, args ...string) *e2etest.Process {
	state := t.TempDir()
	options := append(f.aria2(h, f.node(entry)),
		"--no-conf=true", "--console-log-level=info", "--summary-interval=0", "--dir="+dir,
		"--dht-listen-port="+strconv.Itoa(e2etest.Port), "--listen-port="+strconv.Itoa(aria2Port),
		"--dht-file-path="+filepath.Join(state, "dht"), "--dht-file-path6="+filepath.Join(state, "dht6"),
		"--bt-enable-lpd=false", "--enable-peer-exchange=false")
	return e2etest.Start(t, "aria2c on "+h.Addr4.String(), h.Command(context.Background(), "aria2c", append(options, args...)...))
}

package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

// TestNetwork runs clients against one network of sixteen nodes, side by side, counts
// what they have announced, and then takes half of the nodes away.
func TestNetwork(t *testing.T) {
	e2etest.Require(t, "aria2c", "node")
	lab := e2etest.NewLab(t, 16)
	torrent4, torrent6 := e2etest.NewTorrent(t), e2etest.NewTorrent(t)
	byNpm, byKadnode := e2etest.RandomInfoHash(), e2etest.RandomInfoHash()
	t.Run("clients", func(t *testing.T) {
		t.Run("aria2 over IPv4", func(t *testing.T) {
			t.Parallel()
			testAria2(t, lab, family4, torrent4)
		})
		t.Run("aria2 over IPv6", func(t *testing.T) {
			t.Parallel()
			testAria2(t, lab, family6, torrent6)
		})
		t.Run("npm announces, others find it", func(t *testing.T) {
			t.Parallel()
			testNpmAnnounces(t, lab, byNpm)
		})
		t.Run("npm finds what kadnode announces", func(t *testing.T) {
			t.Parallel()
			testNpmFinds(t, lab, byKadnode)
		})
	})
	t.Run("census", func(t *testing.T) {
		t.Run("scrape over IPv4", func(t *testing.T) {
			t.Parallel()
			testScrape(t, lab, family4, torrent4.InfoHash, byNpm, byKadnode)
		})
		t.Run("scrape over IPv6", func(t *testing.T) {
			t.Parallel()
			testScrape(t, lab, family6, torrent6.InfoHash)
		})
		all := []string{torrent4.InfoHash, torrent6.InfoHash, byNpm, byKadnode}
		t.Run("sample over IPv4", func(t *testing.T) {
			t.Parallel()
			testSample(t, lab, family4, all)
		})
		t.Run("sample over IPv6", func(t *testing.T) {
			t.Parallel()
			testSample(t, lab, family6, all)
		})
	})
	t.Run("half of the nodes are killed", func(t *testing.T) { testHalfKilled(t, lab) })
}

// testHalfKilled announces a peer and kills every second node: what is left of
// the eight that hold the peer must be found through a node that is left.
func testHalfKilled(t *testing.T, lab *e2etest.Lab) {
	const port = 7001
	infoHash := e2etest.RandomInfoHash()
	announcer := lab.NewHost(t)
	if _, err := lab.Kadnode(announcer, "announce", infoHash, "--port", "7001",
		"--bootstrap", lab.Nodes[0].Addr4().String()); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(lab.Nodes); i += 2 {
		lab.Nodes[i].Kill()
	}
	seeker := lab.NewHost(t)
	e2etest.Eventually(t, 60*time.Second, "the peer is found", func() error {
		return lab.HasPeer(seeker, lab.Nodes[5].Addr4(), infoHash, netip.AddrPortFrom(announcer.Addr4, port))
	})
}

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/e2etest"
	"github.com/kadnode/kadnode/e2e/netns"
)

const (
	npmDeadline = 60 * time.Second
	peerPort    = 7000 // what the tests here announce
)

// testNpmAnnounces lets bittorrent-dht announce a peer, and looks it up both with
// bittorrent-dht and with kadnode.
func testNpmAnnounces(t *testing.T, lab *e2etest.Lab, infoHash string) {
	announcer, seeker := lab.NewHost(t), lab.NewHost(t)
	peer := netip.AddrPortFrom(announcer.Addr4, peerPort)
	if _, err := npm(t, announcer, "announce", lab.Nodes[2].Addr4(), infoHash, strconv.Itoa(peerPort)); err != nil {
		t.Fatal(err)
	}
	e2etest.Eventually(t, npmDeadline, "npm finds the peer of npm", func() error {
		return npmHasPeer(t, seeker, lab.Nodes[9].Addr4(), infoHash, peer)
	})
	e2etest.Eventually(t, npmDeadline, "kadnode finds the peer of npm", func() error {
		return lab.HasPeer(seeker, lab.Nodes[14].Addr4(), infoHash, peer)
	})
}

// testNpmFinds lets kadnode announce a peer and looks it up with bittorrent-dht.
func testNpmFinds(t *testing.T, lab *e2etest.Lab, infoHash string) {
	announcer, seeker := lab.NewHost(t), lab.NewHost(t)
	if _, err := lab.Kadnode(announcer, "announce", infoHash, "--port", strconv.Itoa(peerPort),
		"--bootstrap", lab.Nodes[4].Addr4().String()); err != nil {
		t.Fatal(err)
	}
	e2etest.Eventually(t, npmDeadline, "npm finds the peer of kadnode", func() error {
		return npmHasPeer(t, seeker, lab.Nodes[13].Addr4(), infoHash, netip.AddrPortFrom(announcer.Addr4, peerPort))
	})
}

func npmHasPeer(t *testing.T, h *netns.Host, bootstrap netip.AddrPort, infoHash string, peer netip.AddrPort) error {
	out, err := npm(t, h, "lookup", bootstrap, infoHash)
	if err == nil && !slices.Contains(strings.Fields(out), peer.String()) {
		err = fmt.Errorf("no %v among the peers of %s: %q", peer, infoHash, out)
	}
	return err
}

// npm runs a command of node/dht.mjs on a host and returns what it prints.
func npm(t *testing.T, h *netns.Host, command string, bootstrap netip.AddrPort, args ...string) (string, error) {
	t.Helper()
	requireNpm(t)
	ctx, cancel := context.WithTimeout(t.Context(), npmDeadline)
	defer cancel()
	out, err := e2etest.Output(h.Command(ctx, "node", append([]string{"node/dht.mjs", command, bootstrap.String()}, args...)...))
	return string(out), err
}

// requireNpm skips t if bittorrent-dht is not installed.
func requireNpm(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("node/node_modules/bittorrent-dht"); err != nil {
		e2etest.SkipOrFail(t, err)
	}
}

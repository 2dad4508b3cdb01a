package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

// testScrape scrapes torrents of which clients have announced one peer, or two of
// aria2, none of them as a seed (BEP 33).
func testScrape(t *testing.T, lab *e2etest.Lab, f family, infoHashes ...string) {
	h := lab.NewHost(t)
	out, err := lab.Kadnode(h, append([]string{"scrape", "--json",
		"--listen", f.any(h), "--bootstrap", f.node(lab.Nodes[6]).String()}, infoHashes...)...)
	if err != nil {
		t.Fatal(err)
	}
	scraped := make(map[string]bool)
	for line := range strings.Lines(out) {
		var torrent struct {
			Hash                string
			Seeds, Peers, Nodes int
		}
		if err := json.Unmarshal([]byte(line), &torrent); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		scraped[torrent.Hash] = true
		if torrent.Seeds != 0 || torrent.Peers < 1 || torrent.Peers > 2 || torrent.Nodes == 0 {
			t.Errorf("scrape: %s, want one or two peers", strings.TrimSpace(line))
		}
	}
	mustBe(t, scraped, infoHashes)
}

// testSample asks every node for its info-hashes (BEP 51). Nodes keep those of both
// families together: a sweep through either finds all that were announced, and no others.
func testSample(t *testing.T, lab *e2etest.Lab, f family, infoHashes []string) {
	h := lab.NewHost(t)
	// The nodes answer at once. Clients that have ended are waited for much longer.
	out, err := lab.Kadnode(h, "sample", "--all", "--timeout", "10s",
		"--listen", f.any(h), "--bootstrap", f.node(lab.Nodes[10]).String())
	if err != nil && !strings.Contains(err.Error(), "--timeout has ended the sweep") {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for line := range strings.Lines(out) {
		var sample struct{ InfoHash string }
		if err := json.Unmarshal([]byte(line), &sample); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if found[sample.InfoHash] {
			t.Errorf("%s was printed twice", sample.InfoHash)
		}
		found[sample.InfoHash] = true
	}
	mustBe(t, found, infoHashes)
}

// mustBe fails t unless the info-hashes that were found are those wanted.
func mustBe(t *testing.T, found map[string]bool, wanted []string) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(slices.Values(wanted)); !slices.Equal(got, want) {
		t.Errorf("found the info-hashes %v, want %v", got, want)
	}
}

package e2e

import (
	"strings"
	"testing"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

// TestItems has kadnode and bittorrent-dht put items for each other (BEP 44) in a
// network where kadnodes store them. No other clients run beside, since each of
// bittorrent-dht is a node that takes items for as long as it lives.
func TestItems(t *testing.T) {
	e2etest.Require(t, "node")
	lab := e2etest.NewLab(t, 8)
	ours := &kadnodeItems{lab: lab, host: lab.NewHost(t), bootstrap: lab.Nodes[6].Addr4()}
	theirs := &npmItems{lab.NewHost(t), lab.Nodes[3].Addr4()}
	// It has to be first, while every node is reached and holds a version: who holds none
	// takes any. Later, those of bittorrent-dht that have ended are in the way of some.
	t.Run("compare and swap", func(t *testing.T) { testSwap(t, lab, ours, theirs) })
	t.Run("immutable", func(t *testing.T) {
		for _, newValue := range []func() []byte{newText, newLongest, newUpdate} {
			testImmutable(t, ours, theirs, newValue())
			testImmutable(t, theirs, ours, newValue())
		}
	})
	t.Run("mutable", func(t *testing.T) { testMutable(t, ours, theirs, newOwner(t, lab, "")) })
	t.Run("mutable with a salt", func(t *testing.T) {
		testMutable(t, ours, theirs, newOwner(t, lab, "not text: \x00\xff"))
	})
	t.Run("torrents", func(t *testing.T) { testTorrents(t, ours, theirs) })
}

// TestNpmStores has kadnode put items in a network where bittorrent-dht stores them.
func TestNpmStores(t *testing.T) {
	e2etest.Require(t, "node")
	lab := e2etest.NewLab(t, 0)
	first := startNpm(t, lab, "none")
	startNpm(t, lab, first.String())
	startNpm(t, lab, first.String())
	one := &kadnodeItems{lab, lab.NewHost(t), first, 3}
	other := &kadnodeItems{lab, lab.NewHost(t), first, 3}
	testImmutable(t, one, other, newText())
	testMutable(t, one, other, newOwner(t, lab, "salt"))
	testSwap(t, lab, one, other)
}

// testImmutable has writer put an item, and both find it.
func testImmutable(t *testing.T, writer, reader itemClient, value []byte) {
	t.Helper()
	put := item{value: value}
	mustPut(t, put, writer)
	mustFind(t, put, writer, reader)
}

// testMutable has two clients replace one another's versions of an item, and both find
// each of them.
func testMutable(t *testing.T, one, other itemClient, o *owner) {
	t.Helper()
	writers := []itemClient{other, one, other, one}
	for i, writer := range writers {
		put := item{owner: o, value: newLongest(), seq: int64(i + 1)}
		mustPut(t, put, writer)
		mustFind(t, put, one, other)
	}
}

// testSwap has two clients compare and swap: neither can replace a version that is gone,
// but the first one can replace the one that the second has put.
func testSwap(t *testing.T, lab *e2etest.Lab, one, other itemClient) {
	t.Helper()
	var o *owner
	// A node that was missed would take any version later.
	e2etest.Eventually(t, npmDeadline, "a version has replaced another everywhere", func() error {
		o = newOwner(t, lab, "")
		for _, put := range []item{
			{owner: o, value: newText(), seq: 1},
			{owner: o, value: newText(), seq: 2, cas: "1"},
		} {
			if missed := mustPut(t, put, other); missed != nil {
				return missed
			}
		}
		return nil
	})
	for _, c := range []itemClient{one, other} {
		late := item{owner: o, value: newText(), seq: 3, cas: "1"}
		if err := c.put(t, late); err == nil || !strings.Contains(err.Error(), "301") {
			t.Errorf("%v replaces seq 1, which is gone: %v, want error 301", c, err)
		}
	}
	put := item{owner: o, value: newText(), seq: 3, cas: "2"}
	mustPut(t, put, one)
	mustFind(t, put, one, other)
}

// testTorrents has two clients publish one torrent after another (BEP 46).
func testTorrents(t *testing.T, ours *kadnodeItems, theirs *npmItems) {
	o := newOwner(t, ours.lab, "releases")
	first, second, third := newUpdate(), newUpdate(), newUpdate()
	publish := func(update []byte) {
		t.Helper()
		if _, err := ours.run("put", "--infohash", infoHashOf(update), "--key", o.keyFile, "--salt-hex", o.saltHex()); err != nil {
			t.Fatal(err)
		}
	}
	publish(first)
	mustFind(t, item{owner: o, value: first, seq: 1}, theirs)
	if err := theirs.put(t, item{owner: o, value: second, seq: 2, cas: "1"}); err != nil {
		t.Fatal(err)
	}
	out, err := ours.run("get", o.magnet())
	if got := strings.TrimSpace(out); err != nil || got != infoHashOf(second) {
		t.Fatalf("get %s: %q, %v; want %s", o.magnet(), got, err, infoHashOf(second))
	}
	publish(third)
	mustFind(t, item{owner: o, value: third, seq: 3}, theirs)
}

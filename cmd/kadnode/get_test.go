package main

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/kademlia/store"
)

func TestGetWatch(t *testing.T) {
	net := newNetwork(t)
	file, public := newKey(t)
	put := func(args ...string) {
		t.Helper()
		net.run(t, append([]string{"put", "--key", file}, args...)...).expect(t, exitDone, "stored at 8")
	}
	put("--infohash", hash)
	watch := func(args ...string) *running {
		return launch(t, net.args(append([]string{"get", "--watch", "--interval", minInterval.String()}, args...)...)...)
	}
	magnet := watch("magnet:?xs=urn:btpk:" + public)
	early := watch(public, "--salt", "n")
	if got := magnet.line(); got != hash {
		t.Errorf("first %q", got)
	}
	if got := early.next(early.stderr); got != "kadnode: no item found; waiting" {
		t.Errorf("nothing there: %q", got)
	}

	other := strings.Repeat("8", 40)
	put("--infohash", other)
	put("two\nlines", "--salt", "n")
	if got := magnet.line(); got != other {
		t.Errorf("then %q", got)
	}
	if got := early.line(); got != `"two\nlines"` {
		t.Errorf("at last %q", got)
	}
	magnet.stop()
	early.stop()
	if more := append(magnet.stdout.rest(), magnet.stderr.rest()...); len(more) > 0 {
		t.Errorf("said %q too", more)
	}
	if more := append(early.stdout.rest(), early.stderr.rest()...); len(more) > 0 {
		t.Errorf("said %q too", more)
	}
}

// There is no other version of an immutable item to wait for.
func TestGetWatchOfAnImmutableItemEnds(t *testing.T) {
	net := newNetwork(t)
	it := net.item(t, "put", "for ever")
	net.run(t, "get", it.Target, "--watch").expect(t, exitDone, "for ever\n")
}

// A version that verifies is not thrown away because some node was not heard in time.
func TestGetTellsWhatItHasFoundUntilTheTimeout(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	it, err := store.Sign(key, nil, 7, []byte("4:news"))
	if err != nil {
		t.Fatal(err)
	}
	net, target := newSlowNetwork(t, it), it.Target().String()
	r := net.run(t, "get", target, "--timeout", "500ms")
	r.expect(t, exitDone, "")
	if r.stdout != "news\n" || r.stderr != "warning: not all nodes were heard in time: there may be a newer version\n" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	if r := net.run(t, "get", target, "--timeout", "500ms", "--raw"); r.status != exitDone || r.stdout != "4:news" {
		t.Errorf("--raw: %+v", r)
	}
	w := launch(t, net.args("get", target, "--watch", "--timeout", "500ms")...)
	if got := w.line(); got != "news" {
		t.Errorf("--watch: %q", got)
	}
	w.stop()

	net.run(t, "get", hash, "--timeout", "500ms").expect(t, exitFailed, "kadnode: no answer within 500ms\n")

	fixed, err := store.Immutable(it.V)
	if err != nil {
		t.Fatal(err)
	}
	r = newSlowNetwork(t, fixed).run(t, "get", fixed.Target().String(), "--timeout", "5s")
	r.expect(t, exitDone, "news\n")
	if r.stderr != "" { // there is no newer version of it
		t.Errorf("immutable: stderr %q", r.stderr)
	}
}

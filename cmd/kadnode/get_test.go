package main

import (
	"strings"
	"testing"
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

package mainline

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// contactAt returns a node that is far from the zero id, in the i-th of the 128
// branches of the farthest bucket.
func contactAt(i, branch int) krpc.NodeInfo {
	return krpc.NodeInfo{ID: krpc.ID{0x80 | byte(branch), byte(i)}, Addr: simnet.Addr(i)}
}

// A full bucket takes in who fills a gap in it, and else who is quicker.
func TestLibtorrentTablePrefersVarietyAndSpeed(t *testing.T) {
	var table libtorrentTable
	for i := range 128 {
		table.seen(contactAt(i, i/2), 100*time.Millisecond)
	}
	live := func(n krpc.NodeInfo) bool { return indexOf(table.buckets[0].live, n) >= 0 }
	gap, slow, quick := contactAt(200, 127), contactAt(201, 0), contactAt(202, 1)
	table.seen(gap, time.Second)
	table.seen(slow, 200*time.Millisecond)
	table.seen(quick, 50*time.Millisecond)
	if !live(gap) || live(slow) || !live(quick) {
		t.Errorf("in the bucket: the one for a gap %v, the slow one %v, the quick one %v; want true, false, true", live(gap), live(slow), live(quick))
	}
	table.failed(gap)
	if live(gap) || !live(slow) {
		t.Error("the one that failed has not made room for the replacement")
	}
	if n := len(table.buckets[0].live); n != 128 {
		t.Errorf("the bucket has %d contacts, want 128", n)
	}
}

// Only queries among the nearest results count against the limit, so that a reply
// with nearer nodes is followed up at once.
func TestLibtorrentAsksTheNearestAtOnce(t *testing.T) {
	w := New(Measured(100, *seed)).world(Policy{})
	s := w.settle(Libtorrent()).subject.(*libtorrent)
	l := s.traversal(krpc.ID{})
	l.onEnd = func(int) {}
	far := func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: krpc.ID{byte(i)}, Addr: w.stranger(10 + i)} }
	for i := range 8 {
		l.add(far(100 + i))
	}
	l.step()
	if l.queries != libtorrentInFlight {
		t.Fatalf("%d queries at first, want %d", l.queries, libtorrentInFlight)
	}
	for i := range 3 {
		l.add(far(1 + i))
	}
	l.step()
	if l.queries != libtorrentInFlight+3 {
		t.Errorf("%d queries with three nearer nodes, want %d", l.queries, libtorrentInFlight+3)
	}
}

package kademlia

import (
	"math/rand/v2"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// A target, nodes next to it whose ids BEP 42 does not allow, and farther ones whose ids it does.
func looseAndBound(loose, bound int) (target krpc.ID, near, far []krpc.NodeInfo) {
	rng := testRand(5)
	target = krpc.RandomID(rng)
	for i := range loose {
		id := target
		id[krpc.IDLen-1], id[krpc.IDLen-2] = byte(i+1), byte(i>>8)
		near = append(near, krpc.NodeInfo{ID: id, Addr: addrIn(i)})
	}
	for i := range bound {
		addr := addrIn(100_000 + i)
		far = append(far, krpc.NodeInfo{ID: SecureID(addr.Addr(), rng), Addr: addr})
	}
	return target, near, far
}

// run lets everybody whom l asks reply with a token, and returns how many were asked.
func (l *lookup) run() (asked []krpc.NodeInfo) {
	for {
		m, n, _ := l.next()
		if m != moveAsk {
			return asked
		}
		l.replied(n, []byte("t"))
		asked = append(asked, n)
	}
}

func TestStrictLookupGoesOnToBoundIDs(t *testing.T) {
	for _, strict := range []bool{false, true} {
		target, near, far := looseAndBound(30, 10)
		l := newLookup(target, 8, 3)
		l.strict = strict
		for _, n := range append(near, far...) {
			l.add(n, 1)
		}
		bound := 0
		for _, n := range l.run() {
			if ValidID(n.ID, n.Addr.Addr()) {
				bound++
			}
		}
		want := 0
		if strict {
			want = 4
		}
		if bound != want || l.queries != 8+want {
			t.Errorf("strict %t: asks %d nodes, %d of them with bound ids, want %d", strict, l.queries, bound, want)
		}
		if n := len(l.willing()); n != 8+want {
			t.Errorf("strict %t: %d are willing to store, want %d", strict, n, 8+want)
		}
		if n := len(l.closest()); n != 8 {
			t.Errorf("strict %t: ends at %d nodes", strict, n)
		}
	}
}

func TestStrictLookupWithBoundIDsIsAsOthers(t *testing.T) {
	target, near, far := looseAndBound(4, 40)
	l := newLookup(target, 8, 3)
	l.strict = true
	for _, n := range append(near, far...) {
		l.add(n, 1)
	}
	if l.run(); l.queries != 8 || len(l.willing()) != 8 {
		t.Errorf("asks %d nodes, %d are willing to store, want 8", l.queries, len(l.willing()))
	}
}

// However many are named, there is room for those whose ids are bound.
func TestStrictLookupKeepsRoomForBoundIDs(t *testing.T) {
	target, near, far := looseAndBound(1000, maxCandidates-maxLoose)
	l := newLookup(target, 8, 3)
	l.strict = true
	for _, n := range append(near, far...) {
		l.add(n, 1)
	}
	kept := 0
	for _, c := range l.candidates {
		if c.bound {
			kept++
		}
	}
	if kept != len(far) || len(l.candidates) != maxCandidates {
		t.Errorf("%d candidates, %d of %d with bound ids", len(l.candidates), kept, len(far))
	}
}

func TestStrictLookupEndsWhereNobodyIsBound(t *testing.T) {
	target, near, _ := looseAndBound(20, 0)
	l := newLookup(target, 8, 3)
	l.strict = true
	for _, n := range near {
		l.add(n, 1)
	}
	if asked := l.run(); len(asked) != 8 {
		t.Errorf("asks %d nodes, want 8", len(asked))
	}
}

// boundNodes makes n nodes in bucket i of a table with ids that BEP 42 allows.
func boundNodes(t *table, i, n int, rng *rand.Rand) (out []krpc.NodeInfo) {
	for at := 200_000; len(out) < n; at++ {
		node := krpc.NodeInfo{Addr: addrIn(at)}
		node.ID = SecureID(node.Addr.Addr(), rng)
		if t.self.CommonPrefixLen(node.ID) == i {
			out = append(out, node)
		}
	}
	return out
}

func TestBoundIDsTakeThePlacesOfOthers(t *testing.T) {
	table, rng := newTestTable(2)
	table.buckets = make([]bucket, 9)
	loose, bound := strangers(table, 8, 2, rng), boundNodes(table, 8, 4, rng)
	for _, n := range append(loose, bound...) {
		table.responded(n, 0, epoch)
	}
	if !live(table, bound[0].ID) || !live(table, bound[1].ID) || live(table, bound[2].ID) {
		t.Error("bound ids take the places of others, and of nobody else")
	}
	table.responded(strangers(table, 8, 3, rng)[2], 1, epoch)
	if !live(table, bound[0].ID) || !live(table, bound[1].ID) {
		t.Error("who is quick takes the place of a bound id")
	}
}

// Attackers who need not care for their ids fill deep buckets, until they would be most.
func TestMostIDsStayBound(t *testing.T) {
	table, rng := newTestTable(8)
	table.strict = true
	for _, n := range boundNodes(table, 0, 50, rng) {
		table.responded(n, 0, epoch)
	}
	for i := range 100 {
		n := krpc.NodeInfo{ID: idInBucket(table.self, 20+i, rng), Addr: addrIn(i)}
		table.responded(n, 0, epoch)
	}
	if n := table.size(); n != 99 {
		t.Errorf("%d contacts, want 99, so that most are bound", n)
	}
}

// Bound ids that come first are no reason to think that most are, nor to keep others out.
func TestFirstBoundIDsKeepNobodyOut(t *testing.T) {
	table, rng := newTestTable(8)
	for _, n := range append(boundNodes(table, 0, 40, rng), strangers(table, 1, 60, rng)...) {
		table.responded(n, 0, epoch)
	}
	if n := table.size(); n != 100 {
		t.Errorf("%d contacts, want 100", n)
	}
}

// Whether most ids are bound is what lookups of random targets end at.
func TestMostAreBoundByWhatLookupsFind(t *testing.T) {
	var s sizeSample
	s.add(.1, 8, 0)
	if s.mostBound(8) {
		t.Error("one lookup is enough")
	}
	if s.add(.1, 8, 0); !s.mostBound(8) {
		t.Error("two are not")
	}
	for range len(s.last) {
		s.add(.1, 4, 0)
	}
	if s.mostBound(8) {
		t.Error("half are most")
	}
}

// Names whose ids are not bound keep out no nearer ones, and none at all once they have failed.
func TestFarNamesMakeRoomForNearer(t *testing.T) {
	target, near, _ := looseAndBound(30, 0)
	l := newLookup(target, 8, 3)
	l.strict = true
	for i := range maxLoose {
		far := target
		far[0] ^= 0xff
		far[1] = byte(i)
		if !l.add(krpc.NodeInfo{ID: far, Addr: addrIn(500_000 + i)}, 1) {
			t.Fatalf("%d are too many", i)
		}
	}
	for _, n := range near {
		if !l.add(n, 1) {
			t.Fatal("a nearer one finds no place")
		}
	}
	if n := l.loose(); n != maxLoose {
		t.Errorf("%d candidates, want %d", n, maxLoose)
	}
	l.candidates[0].state = failed
	further := target
	further[0] ^= 0xfe
	if !l.add(krpc.NodeInfo{ID: further, Addr: addrIn(600_000)}, 1) {
		t.Error("one that has failed keeps its place")
	}
}

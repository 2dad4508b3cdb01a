package kademlia

import (
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

func ids(distances ...int) (list []krpc.ID) {
	for _, d := range distances {
		list = append(list, at(d).ID)
	}
	return list
}

// neighbours has four nodes reply to a lookup of the 4 closest, and 16 not in time. All
// that reply name 1, 2 and 3 and nodes farther than 16; of the others each names 16 if its
// bit is set in by.
func neighbours(by int) *lookup {
	l := startLookup(4, 8, 1, 2, 3, 4, 16)
	for range 5 {
		l.next()
	}
	for i, d := range []int{1, 2, 3, 4} {
		l.replied(at(d), nil)
		named := ids(1, 2, 3, 40)
		if by>>i&1 != 0 {
			named = append(named, at(16).ID)
		}
		l.says(at(d), named)
	}
	l.stalled(at(16))
	return l
}

func TestNeighboursTellTheDeadFromTheSlow(t *testing.T) {
	for by, want := range map[int]struct{ doubtful, vouched bool }{
		0b1111: {false, true}, 0b1110: {true, false}, 0b1010: {true, false}, 0b0001: {true, false}, 0: {true, false},
	} {
		l := neighbours(by)
		x := l.find(at(16))
		if got := l.doubtful(x); got != want.doubtful {
			t.Errorf("named by %04b: doubtful %t", by, got)
		}
		if got := l.vouched(x); got != want.vouched {
			t.Errorf("named by %04b: vouched for %t", by, got)
		}
	}
}

func TestOneOfManyNeighboursMayNotKnow(t *testing.T) {
	l := startLookup(4, 8, 1, 2, 3, 4, 5, 16)
	for range 6 {
		l.next()
	}
	for d := 1; d <= 5; d++ {
		l.replied(at(d), nil)
		named := ids(1, 2, 3, 16, 40)
		if d == 3 {
			named = ids(1, 2, 3, 40)
		}
		l.says(at(d), named)
	}
	if x := l.find(at(16)); l.doubtful(x) || l.vouched(x) {
		t.Errorf("named by 4 of 5: doubtful %t, vouched for %t", l.doubtful(x), l.vouched(x))
	}
}

// Once there is what was waited for, a lookup asks whom all name more often than others, and
// waits for him.
func TestSatedLookupWaitsForTheSlow(t *testing.T) {
	for by, tries := range map[int]int{0b1111: maxTries, 0b1110: maxTries - 1} {
		l := neighbours(by)
		l.sated = true
		if got := l.tries(l.find(at(16))); got != tries {
			t.Errorf("named by %04b: asked up to %d times, want %d", by, got, tries)
		}
	}
}

// A list of one full bucket says nothing about who is not in it.
func TestFullBucketsSayNothing(t *testing.T) {
	l := startLookup(4, 8, 0x100, 0x101, 0x10)
	for range 3 {
		l.next()
	}
	for _, d := range []int{0x100, 0x101} {
		l.replied(at(d), nil)
		l.says(at(d), ids(0x20, 0x21, 0x22, 0x23))
	}
	if l.doubtful(l.find(at(0x10))) {
		t.Error("doubtful because it is in no full bucket of others")
	}
}

// With what was waited for found, a lookup does not insist on the doubtful, nor look behind
// the dead.
func TestSatedLookupEndsSooner(t *testing.T) {
	l := startLookup(2, 8, 1, 2, 3)
	expectAsks(t, l, 1, 2, 3)
	for _, d := range []int{1, 3} {
		l.replied(at(d), nil)
		l.says(at(d), ids(1, 3, 40, 50))
	}
	l.stalled(at(2))
	l.sated = true
	expectAsks(t, l)
	if m, _, _ := l.next(); m != moveEnd {
		t.Errorf("move %d, want the end", m)
	}

	l.sated = false
	expectAsks(t, l, 2)
	l.stalled(at(2))
	expectAsks(t, l, 2)
	l.stalled(at(2))
	if m, _, _ := l.next(); m != moveWiden {
		t.Errorf("move %d of one that is not sated, want to widen", m)
	}
}

// One that is wide has queries to spare: it looks behind the dead while it waits for them.
func TestSatedLookupLooksBehindTheDeadMeanwhile(t *testing.T) {
	l := startLookup(2, 8, 1, 2, 300)
	expectAsks(t, l, 1, 2, 300)
	for _, d := range []int{300, 1} {
		l.replied(at(d), nil)
	}
	l.stalled(at(2))
	l.sated, l.alpha = true, 3
	if m, n, before := l.next(); m != moveAsk || n != at(2) || before != 1 {
		t.Fatalf("move %d to %v, asked %d times before", m, n, before)
	}
	for range satedShells {
		if m, _, _ := l.next(); m != moveWiden {
			t.Fatalf("move %d, want to widen", m)
		}
		if _, ask := l.widen(); len(ask) != satedWiden {
			t.Errorf("asks %d nodes more", len(ask))
		}
	}
	if m, _, _ := l.next(); m != moveWait {
		t.Errorf("move %d, want to wait", m)
	}
	if l.stalled(at(2)); l.find(at(2)).state != silent {
		t.Error("waits for one that did not answer twice")
	}
	if m, _, _ := l.next(); m != moveEnd {
		t.Errorf("move %d, want the end, whoever else was asked for more", m)
	}
}

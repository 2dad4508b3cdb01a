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

func TestWhoIsNotNamedByItsNeighboursIsDoubtful(t *testing.T) {
	for by, want := range map[int]bool{0b1111: false, 0b1110: false, 0b1010: true, 0b0001: true, 0: true} {
		l := neighbours(by)
		if got := l.doubtful(l.find(at(16))); got != want {
			t.Errorf("named by %04b: doubtful %t, want %t", by, got, want)
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

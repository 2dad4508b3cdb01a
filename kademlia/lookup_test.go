package kademlia

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// at makes the node at a distance from the zero target, in a network of its own.
func at(distance int) krpc.NodeInfo {
	n := krpc.NodeInfo{Addr: addrIn(distance)}
	n.ID[0], n.ID[1] = byte(distance>>8), byte(distance)
	return n
}

// asks drains next and returns the distances of the nodes to ask.
func asks(l *lookup) []int {
	var out []int
	for {
		m, n, _ := l.next()
		if m != moveAsk {
			return out
		}
		out = append(out, int(n.ID[0])<<8|int(n.ID[1]))
	}
}

func expectAsks(t *testing.T, l *lookup, want ...int) {
	t.Helper()
	if got := asks(l); !slices.Equal(got, want) {
		t.Fatalf("asks %v, want %v", got, want)
	}
}

func expectOver(t *testing.T, l *lookup, want bool) {
	t.Helper()
	m, n, _ := l.next()
	for m == moveWiden { // nobody knows more
		l.widen()
		l.expecting = 0
		m, n, _ = l.next()
	}
	if m == moveAsk || (m == moveEnd) != want {
		t.Fatalf("move %d to %v; over: want %t", m, n, want)
	}
}

func startLookup(k, alpha int, distances ...int) *lookup {
	l := newLookup(krpc.ID{}, k, alpha)
	for _, d := range distances {
		l.add(at(d), 1)
	}
	return l
}

func TestLookupAsksAlphaOfTheClosest(t *testing.T) {
	l := startLookup(2, 3, 50, 10, 40, 20, 30)
	expectAsks(t, l, 10, 20, 30)
	expectOver(t, l, false)
	l.replied(at(20), nil)
	expectAsks(t, l, 40)
	l.replied(at(10), nil)
	expectAsks(t, l)
	expectOver(t, l, true)
	if got := l.closest(); len(got) != 2 || got[0].NodeInfo != at(10) || got[1].NodeInfo != at(20) {
		t.Errorf("closest: %v", got)
	}
}

func TestSatedLookupAsksAllThatAreLeftAtOnce(t *testing.T) {
	l := startLookup(4, 6, 10, 20, 30, 40, 50, 60, 70)
	expectAsks(t, l, 10, 20, 30, 40, 50, 60)
	l.alpha, l.sated = 2, true // two of them have sent peers
	for _, d := range []int{50, 60} {
		l.replied(at(d), nil)
	}
	l.failed(at(10))
	l.failed(at(20))
	l.add(at(45), 2)
	l.add(at(46), 2)
	expectAsks(t, l) // still coming nearer, by two at a time
	l.replied(at(30), nil)
	expectAsks(t, l, 45, 46, 70) // it has named nobody
}

func TestFrugalLookupAsksTheClosestAlone(t *testing.T) {
	l := startLookup(2, 3, 50, 10, 40, 20, 30)
	l.frugal, l.tokens = true, true
	expectAsks(t, l, 10, 20)
	l.failed(at(10))
	expectAsks(t, l, 30) // in its place
	l.replied(at(20), nil)
	expectAsks(t, l, 40) // since that one is of no use
	l.replied(at(30), []byte("token"))
	expectAsks(t, l)
	l.stalled(at(40))
	expectAsks(t, l, 50) // in case that it does not answer
	l.replied(at(40), []byte("token"))
	expectOver(t, l, true)
}

func TestCloserNodesAreAskedAtOnce(t *testing.T) {
	l := startLookup(8, 3, 100, 200, 300, 400)
	expectAsks(t, l, 100, 200, 300)
	depth, _ := l.replied(at(300), nil)
	for _, d := range []int{1, 2, 3, 4} {
		l.add(at(d), depth+1)
	}
	// Two queries to farther nodes are under way, but they do not count.
	expectAsks(t, l, 1, 2, 3)
	l.replied(at(1), nil)
	if c := l.closest()[0]; c.Hops != 2 {
		t.Errorf("%d hops, want 2", c.Hops)
	}
}

func TestFirstHopPrefersTheQuickAmongEquals(t *testing.T) {
	l := newLookup(krpc.ID{}, 8, 3)
	var contacts []contactRTT
	for _, c := range []struct {
		distance int
		rtt      millis
	}{{0x10, 900}, {0x20, 300}, {0x28, 200}, {0x30, 100}, {0x38, 150}, {0x40, 10}} {
		contacts = append(contacts, contactRTT{at(c.distance), c.rtt})
	}
	l.start(contacts)
	expectAsks(t, l, 0x10, 0x30, 0x38) // the closest, and two of the four of the next bit
	l.replied(at(0x38), nil)
	expectAsks(t, l, 0x20, 0x28) // from now on the closest, however slow
}

// A contact that is named twice counts once.
func TestFirstHopAsksAlphaWhoeverIsNamedTwice(t *testing.T) {
	for _, alpha := range []int{1, 3} {
		l := newLookup(krpc.ID{}, 8, alpha)
		var contacts []contactRTT
		for d := range 8 {
			contacts = append(contacts, contactRTT{at(0x80 + d), 100})
		}
		quick := contactRTT{at(0x90), 1}
		l.start(append(contacts, quick, quick, quick))
		if got := asks(l); len(got) != alpha || !slices.Contains(got, 0x90) {
			t.Errorf("with alpha %d: asks %#x", alpha, got)
		}
	}
}

// If there is nobody quicker to ask, the slow will do.
func TestFirstHopNeverEndsTheLookup(t *testing.T) {
	l := startLookup(8, 3, 10, 20, 30, 40)
	for i := range l.candidates {
		l.candidates[i].slow = true
	}
	expectAsks(t, l, 10, 20, 30)
}

func TestFirstHopWidensWhenTheQuickStall(t *testing.T) {
	for _, fails := range []func(*lookup, krpc.NodeInfo){(*lookup).stalled, (*lookup).failed} {
		l := newLookup(krpc.ID{}, 1, 1)
		l.start([]contactRTT{{at(0x11), 50}, {at(0x12), 40}})
		expectAsks(t, l, 0x12)
		fails(l, at(0x12))
		expectAsks(t, l, 0x11)
	}
}

func TestLookupForTokensGoesOnBehindTheUnwilling(t *testing.T) {
	l := startLookup(2, 3, 10, 20, 30, 40, 50)
	l.tokens = true
	expectAsks(t, l, 10, 20, 30)
	l.replied(at(10), nil)
	l.replied(at(20), []byte("token"))
	expectAsks(t, l, 40, 50)
	expectOver(t, l, false)
	l.replied(at(30), []byte("token"))
	expectOver(t, l, true)
	if got := l.willing(); len(got) != 2 || got[0].NodeInfo != at(20) || got[0].Rank != 1 || got[1].NodeInfo != at(30) || got[1].Rank != 2 {
		t.Errorf("willing: %v", got)
	}
	if got := l.closest(); len(got) != 2 || got[0].NodeInfo != at(10) || got[1].NodeInfo != at(20) {
		t.Errorf("closest: %v", got)
	}
}

func TestLookupForTokensThatNobodyGivesEnds(t *testing.T) {
	l := startLookup(2, 3, 10, 20, 30, 40, 50, 60)
	l.tokens = true
	expectAsks(t, l, 10, 20, 30)
	l.replied(at(10), nil)
	expectAsks(t, l, 40)
	l.replied(at(20), make([]byte, maxToken+1))
	expectOver(t, l, true)
}

func TestStallFreesTheSlotWithoutBlame(t *testing.T) {
	l := startLookup(1, 1, 10, 20)
	expectAsks(t, l, 10)
	l.stalled(at(10))
	expectAsks(t, l, 10, 20) // once more, and the next one in its slot
	l.stalled(at(10))
	expectAsks(t, l, 10)
	l.stalled(at(10))
	expectOver(t, l, false) // 20 may still reply
	l.replied(at(20), nil)
	expectOver(t, l, true)
	l.replied(at(10), []byte("late"))
	if c := l.closest()[0]; c.NodeInfo != at(10) || string(c.Token) != "late" {
		t.Errorf("the late reply does not count: %v", c)
	}
}

func TestOnlyTheFrontIsAskedAgain(t *testing.T) {
	l := startLookup(2, 4, 10, 20, 30, 40)
	expectAsks(t, l, 10, 20, 30, 40)
	for _, d := range []int{20, 40} {
		l.stalled(at(d))
	}
	expectAsks(t, l, 20)
}

func TestLookupWaitsForWhoeverIsCloser(t *testing.T) {
	l := startLookup(2, 3, 10, 20, 30)
	expectAsks(t, l, 10, 20, 30)
	l.replied(at(20), nil)
	l.replied(at(30), nil)
	expectOver(t, l, false)
	l.failed(at(10))
	expectOver(t, l, true)
}

// Where dead nodes were met, the lookup asks for what is behind them: for the
// other half of the region that the closest nodes are in.
func TestLookupLooksBehindTheDead(t *testing.T) {
	l := startLookup(2, 3, 0x10, 0x20, 0x31)
	expectAsks(t, l, 0x10, 0x20, 0x31)
	if l.shellOf(false) != 10 {
		t.Fatalf("shell %d", l.shellOf(false))
	}
	l.failed(at(0x10))
	l.replied(at(0x20), nil)
	l.replied(at(0x31), nil)
	if m, _, _ := l.next(); m != moveWiden {
		t.Fatalf("move %d", m)
	}
	target, ask := l.widen()
	if want := (krpc.ID{0, 0x20}); target != want || !slices.Equal(ask, []krpc.NodeInfo{at(0x20), at(0x31)}) {
		t.Fatalf("asks %v for %v", ask, target)
	}
	if m, _, _ := l.next(); m != moveWait {
		t.Fatalf("move %d before the answers", m)
	}
	l.expecting = 0
	l.add(at(0x21), 2)
	expectAsks(t, l, 0x21)
	l.replied(at(0x21), nil)
	expectOver(t, l, true)
	if c := l.closest()[1]; c.NodeInfo != at(0x21) {
		t.Errorf("the second is %v", c)
	}
}

func TestLookupEndsWhenNobodyIsLeft(t *testing.T) {
	l := startLookup(8, 3, 10, 20)
	expectAsks(t, l, 10, 20)
	l.failed(at(10))
	l.failed(at(20))
	expectOver(t, l, true)
	if len(l.closest()) != 0 {
		t.Error("found somebody")
	}
	expectOver(t, startLookup(8, 3), true)
}

func TestEachNetworkIsOneCandidate(t *testing.T) {
	first, closer := at(20), at(10)
	closer.Addr = netip.AddrPortFrom(first.Addr.Addr().Next(), 1)
	l := startLookup(8, 1, 20)
	if l.add(closer, 2) || len(l.candidates) != 1 {
		t.Error("who names a neighbour of a candidate pushes it out")
	}
	expectAsks(t, l, 20)
	l.failed(first)
	if !l.add(closer, 2) {
		t.Error("the network of a failed node is shut")
	}
}

func TestLocalNodesShareAnAddress(t *testing.T) {
	l := startLookup(8, 1)
	for i := range 4 {
		n := at(10 + i)
		n.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(1000+i))
		if !l.add(n, 1) {
			t.Error("a local node was refused")
		}
		n.ID[19]++
		if l.add(n, 1) {
			t.Error("two candidates at one address and port")
		}
	}
}

// An attacker who names ever closer nodes gets no more than maxQueries.
func TestEndlessLookupEnds(t *testing.T) {
	l := startLookup(8, 3, 60_000)
	for d := 59_999; d > 0; d-- {
		m, n, _ := l.next()
		if m != moveAsk {
			break
		}
		depth, _ := l.replied(n, nil)
		l.add(at(d), depth+1)
	}
	expectOver(t, l, true)
	if l.queries != maxQueries {
		t.Errorf("%d queries, want %d", l.queries, maxQueries)
	}
}

// Dead nodes in every shell cost a bounded number of questions, too.
func TestWideningEnds(t *testing.T) {
	l := newLookup(krpc.ID{}, 8, 3)
	for i := range 100 {
		n := krpc.NodeInfo{Addr: addrIn(i)}
		n.ID[i/8] = 0x80 >> (i % 8)
		l.add(n, 1)
	}
	for {
		m, n, _ := l.next()
		if m == moveEnd {
			break
		}
		if m == moveWiden {
			l.widen()
			l.expecting = 0
			continue
		}
		if n.ID.CommonPrefixLen(krpc.ID{})%3 == 0 {
			l.failed(n)
		} else {
			l.replied(n, nil)
		}
	}
	if l.shells > maxShells || l.queries > maxQueries {
		t.Errorf("%d shells, %d queries", l.shells, l.queries)
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	l := startLookup(8, 3)
	for d := 5000; d > 0; d-- {
		l.add(at(d), 1)
	}
	if len(l.candidates) != maxCandidates || !l.candidates[0].is(at(1)) {
		t.Errorf("%d candidates, the closest %v", len(l.candidates), l.candidates[0].info())
	}
	if l.add(at(6000), 1) {
		t.Error("a node farther than all was taken in")
	}
}

// Against replies, stalls and failures in any order, a lookup ends with the k
// closest of the nodes that replied.
func TestLookupInvariants(t *testing.T) {
	for seed := range uint64(200) {
		rng := testRand(seed)
		l := newLookup(krpc.ID{}, 8, 3)
		alive := make(map[krpc.NodeInfo]bool)
		for range 20 {
			l.add(at(1+rng.IntN(60_000)), 1)
		}
		var flying []krpc.NodeInfo
		for {
			m, n, _ := l.next()
			if m == moveEnd {
				break
			}
			if m == moveAsk {
				flying = append(flying, n)
				continue
			}
			if m == moveWiden {
				l.widen()
				l.expecting = 0
				continue
			}
			if len(flying) == 0 {
				t.Fatalf("seed %d: waits for nobody", seed)
			}
			i := rng.IntN(len(flying))
			n = flying[i]
			flying = slices.Delete(flying, i, i+1)
			switch rng.IntN(4) {
			case 0:
				l.failed(n)
			case 1:
				l.stalled(n)
			default:
				if depth, ok := l.replied(n, nil); ok {
					alive[n] = true
					for range 8 {
						l.add(at(1+rng.IntN(60_000)), depth+1)
					}
				}
			}
		}
		want := slices.SortedFunc(func(yield func(krpc.NodeInfo) bool) {
			for n := range alive {
				if !yield(n) {
					return
				}
			}
		}, func(a, b krpc.NodeInfo) int { return a.ID.Compare(b.ID) })
		var got []krpc.NodeInfo
		for _, c := range l.closest() {
			got = append(got, c.NodeInfo)
		}
		if !slices.Equal(got, want[:min(8, len(want))]) {
			t.Fatalf("seed %d: closest %v, want %v", seed, got, want)
		}
	}
}

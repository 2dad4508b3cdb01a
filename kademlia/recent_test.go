package kademlia

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// lookedUp makes a node that has just looked a target up at eight others, which give tokens,
// and returns it, what it found, and the lookup that may reuse that.
func (l *lab) lookedUp() (*Node, LookupResult, Lookup) {
	l.t.Helper()
	var others []*stranger
	for i := range 8 {
		s := l.answering(i + 1)
		s.answer = func(*krpc.Message) *krpc.Message {
			return &krpc.Message{Kind: krpc.KindReply, HasID: true, ID: s.id, Nodes: []byte{}, Token: []byte("good")}
		}
		others = append(others, s)
	}
	n := l.alone(nil, others...)
	target := krpc.ID{7}
	cfg := Lookup{
		Target: target, Kind: LookupGetPeers, Method: krpc.MethodGetPeers, Reuse: true,
		Fill: func(m *krpc.Message) { m.HasInfoHash, m.InfoHash = true, target },
	}
	res := l.run(n, cfg)
	if len(res.Willing) != 8 || res.Queries != 8 {
		l.t.Fatalf("the first lookup: %+v", res)
	}
	return n, res, cfg
}

// What a lookup has found is its caller's to change.
func TestResultsAreTheirOwners(t *testing.T) {
	l := newLab(t)
	n, res, cfg := l.lookedUp()
	first := res.Willing[0].ID
	for range 2 {
		for i := range res.Willing {
			clear(res.Willing[i].Token)
		}
		clear(res.Willing)
		res = l.run(n, cfg)
		if res.Queries != 0 || len(res.Willing) != 8 || res.Willing[0].ID != first || string(res.Willing[0].Token) != "good" {
			t.Fatalf("a caller has changed the result of the next: %+v", res)
		}
		if !slices.EqualFunc(res.Closest, res.Willing, func(a, b Contact) bool { return a.ID == b.ID }) {
			t.Errorf("closest %v, willing %v", res.Closest, res.Willing)
		}
		if &res.Closest[0] == &res.Willing[0] {
			t.Error("two lists are one")
		}
	}
}

// Tokens are bound to the address that they were given to.
func TestANewAddressNeedsNewTokens(t *testing.T) {
	l := newLab(t)
	n, _, cfg := l.lookedUp()
	n.mu.Lock()
	n.rebase(netip.AddrFrom4([4]byte{93, 184, 216, 34}))
	n.unlock()
	if res := l.run(n, cfg); res.Queries < 8 || len(res.Willing) != 8 {
		t.Errorf("%d queries, %d willing; want a lookup", res.Queries, len(res.Willing))
	}
}

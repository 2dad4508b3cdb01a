package load

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

func TestPopulationFillsEveryBucket(t *testing.T) {
	if !udp.CanChooseSource {
		t.Skip("this system does not let a socket choose its source")
	}
	g := openPopulated(t, Config{Target: startFakeNode(t).addr})
	var buckets [8*krpc.IDLen + 1]int
	addrs := make(map[netip.Addr]bool)
	for _, n := range g.population {
		buckets[g.server.CommonPrefixLen(n.id)]++
		addrs[n.addr] = true
	}
	for i := range depth {
		if want := max(widest>>i, narrowest); buckets[i] < want {
			t.Errorf("%d nodes in bucket %d, want %d", buckets[i], i, want)
		}
	}
	for _, n := range g.askers {
		addrs[n.addr] = true
	}
	if len(addrs) != len(g.population)+askers {
		t.Errorf("%d addresses of %d nodes", len(addrs), len(g.population)+askers)
	}
}

// TestPopulationAnswers has the node under test ask back.
func TestPopulationAnswers(t *testing.T) {
	if !udp.CanChooseSource {
		t.Skip("this system does not let a socket choose its source")
	}
	g := openPopulated(t, Config{Target: startFakeNode(t).addr})
	member := &g.population[7]
	for _, tc := range []struct {
		method       krpc.Method
		nodes, token bool
		code         int64
	}{
		{method: krpc.MethodPing},
		{method: krpc.MethodFindNode, nodes: true},
		{method: krpc.MethodGetPeers, nodes: true, token: true},
		{method: krpc.MethodAnnouncePeer},
		{method: krpc.MethodSampleInfohashes, code: krpc.CodeMethodUnknown},
	} {
		// The generator asks itself, as the node under test would ask it.
		self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), g.client.LocalAddr().Port())
		g.cfg.Target = self
		q := krpc.Message{Method: tc.method, TID: []byte("q"), HasID: true, ID: g.server, Target: member.id, InfoHash: member.id}
		g.serve(member.addr, &q)
		g.client.Flush()
		var r krpc.Message
		if n, err := g.client.Receive(time.Now().Add(patience)); n != 1 || err != nil {
			t.Fatalf("%v: %d answers, error %v", tc.method, n, err)
		}
		from, _, b, _ := g.client.Datagram(0)
		if r.Decode(b) != nil || string(r.TID) != "q" || from.Addr() != member.addr {
			t.Fatalf("%v: %q from %v", tc.method, b, from)
		}
		if r.ErrorCode != tc.code || tc.code == 0 && r.ID != member.id {
			t.Errorf("%v: error %d, id %v", tc.method, r.ErrorCode, r.ID)
		}
		if (r.Nodes != nil) != tc.nodes || (r.Token != nil) != tc.token {
			t.Errorf("%v: nodes % x, token %q", tc.method, r.Nodes, r.Token)
		}
		if tc.nodes && (len(r.Nodes) != replyNodes*krpc.Node4Len || krpc.ID(r.Nodes[:krpc.IDLen]) != member.id) {
			t.Errorf("%v: the closest is % x", tc.method, r.Nodes)
		}
	}
}

func TestMixes(t *testing.T) {
	var counts [NumKinds]int
	kinds := Mainline().schedule(newRand())
	for _, k := range kinds {
		counts[k]++
	}
	for k, share := range Mainline() {
		if counts[k]*100 != share*len(kinds) {
			t.Errorf("%d of %d are %v, want %d %%", counts[k], len(kinds), Kind(k), share)
		}
	}
	for k := range Kind(NumKinds) {
		if want := k == GetPeersHit || k == AnnouncePeer; Only(k).NeedsPeers() != want {
			t.Errorf("%v needs peers: %v", k, !want)
		}
	}
}

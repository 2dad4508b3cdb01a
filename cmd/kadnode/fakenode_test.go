package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// newFakeNode starts a remote node that replies to every query, and returns its address.
// answer sets what else is in the reply r to q.
func newFakeNode(t *testing.T, answer func(q, r *krpc.Message)) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			var q krpc.Message
			if q.Decode(b[:n]) != nil || q.Kind != krpc.KindQuery {
				continue
			}
			r := krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: krpc.ID{1}, Token: []byte("token"), Nodes: []byte{}}
			answer(&q, &r)
			conn.WriteToUDPAddrPort(r.Append(nil), from)
		}
	}()
	return conn.LocalAddr().String()
}

// newSlowNetwork returns a node that names another one, which does not answer, to who
// looks for something. It has the item.
func newSlowNetwork(t *testing.T, it store.Item) network {
	t.Helper()
	silent := netip.MustParseAddrPort(closedPort(t))
	return network{newFakeNode(t, func(q, r *krpc.Message) {
		if q.Method != krpc.MethodGet && q.Method != krpc.MethodGetPeers {
			return
		}
		r.Nodes = krpc.AppendNode(nil, krpc.NodeInfo{ID: krpc.ID{2}, Addr: silent})
		if q.HasTarget && q.Target == it.Target() {
			r.K, r.V, r.Sig, r.Seq, r.HasSeq = it.K, it.V, it.Sig, it.Seq, it.Mutable()
		}
	})}
}

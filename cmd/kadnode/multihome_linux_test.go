package main

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Linux has all of 127.0.0.0/8 on its loopback interface. There a node has four
// addresses: it is as many nodes, far apart, that answer for themselves (BEP 45).
func TestMultiHoming(t *testing.T) {
	var args []string
	for _, a := range []string{"127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0", "127.0.0.1:0"} {
		args = append(args, "--listen", a)
	}
	_, s := startNode(t, append(args, "--bootstrap", "none")...)
	asker := newAsker(t)
	var ids []krpc.ID
	var tokens [][]byte
	for i, addr := range s.Listen {
		r := asker.ask(addr, krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true})
		if r.ID.String() != s.ID[i] || len(r.Token) == 0 {
			t.Errorf("%s: id %v and %d bytes of token, want id %s", addr, r.ID, len(r.Token), s.ID[i])
		}
		for _, other := range ids {
			if shared := r.ID.CommonPrefixLen(other); shared > 1 {
				t.Errorf("%v and %v share %d bits", r.ID, other, shared)
			}
		}
		ids, tokens = append(ids, r.ID), append(tokens, r.Token)
	}
	for i, token := range tokens {
		for j, addr := range s.Listen {
			r := asker.ask(addr, krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, Port: 4242, Token: token})
			if i == j && r.Kind != krpc.KindReply || i != j && r.ErrorCode != krpc.CodeProtocol {
				t.Errorf("the token of %s at %s: %c, error %d", s.Listen[i], addr, r.Kind, r.ErrorCode)
			}
		}
	}
}

// asker is a stranger with a socket.
type asker struct {
	t    *testing.T
	conn *net.UDPConn
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &asker{t, conn}
}

// ask sends a query and returns the answer, which has to come from the address asked.
func (a *asker) ask(addr string, q krpc.Message) *krpc.Message {
	a.t.Helper()
	to := netip.MustParseAddrPort(addr)
	q.Kind, q.TID, q.HasID, q.ID, q.ReadOnly = krpc.KindQuery, []byte("aa"), true, krpc.ID{1}, true
	if _, err := a.conn.WriteToUDPAddrPort(q.Append(nil), to); err != nil {
		a.t.Fatal(err)
	}
	a.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, krpc.MaxDatagram)
	n, from, err := a.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		a.t.Fatal(err)
	}
	if from != to {
		a.t.Errorf("%v was asked, and %v answers", to, from)
	}
	r := new(krpc.Message)
	if err := r.Decode(b[:n]); err != nil {
		a.t.Fatal(err)
	}
	return r
}

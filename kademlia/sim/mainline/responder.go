package mainline

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

const (
	// peersNamed is how many peers a node names.
	peersNamed = 5
	tokenLen   = 8
)

// member is the crowd of the world's network: the nodes that live.
func (w *world) member(addr netip.AddrPort) krpc.PacketFunc {
	i, ok := w.at[addr]
	if !ok {
		return nil
	}
	return func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		var q krpc.Message
		if q.Decode(b) != nil || q.Kind != krpc.KindQuery {
			return
		}
		r := krpc.Message{Kind: krpc.KindReply, TID: q.TID, IP: from, HasID: true, ID: w.nodes[i].id}
		if w.answer(&r, i, from, &q) {
			out.Push(from, r.Append(out.Buffer()))
		}
	}
}

// answer fills in node i's reply r to q; false: there is none.
func (w *world) answer(r *krpc.Message, i int, from netip.AddrPort, q *krpc.Message) bool {
	switch w.nodes[i].kind {
	case refusing:
		fail(r, krpc.CodeServer, "server error")
		return true
	case pingsOnly:
		return q.Method == krpc.MethodPing
	case misnamed:
		binary.BigEndian.PutUint64(r.ID[:8], w.draw(drawOtherID, uint64(i), 0))
	}
	switch q.Method {
	case krpc.MethodPing:
	case krpc.MethodFindNode:
		r.Nodes = w.nodesOf(i, q.Target)
	case krpc.MethodGetPeers:
		w.getPeers(r, i, from, q.InfoHash)
	case krpc.MethodAnnouncePeer:
		if string(q.Token) != string(w.token(i, from, q.InfoHash)) {
			fail(r, krpc.CodeProtocol, "bad token")
			break
		}
		w.announces++
	default:
		fail(r, krpc.CodeMethodUnknown, "method unknown")
	}
	return true
}

func fail(r *krpc.Message, code int64, text string) {
	*r = krpc.Message{Kind: krpc.KindError, TID: r.TID, IP: r.IP, ErrorCode: code, ErrorText: []byte(text)}
}

func (w *world) getPeers(r *krpc.Message, i int, from netip.AddrPort, ih krpc.ID) {
	r.Token = w.token(i, from, ih)
	if w.nodes[i].kind == willing && w.holds(i, ih) {
		for p := range peersNamed {
			peer := w.draw(drawPeer, prefixOf(ih), uint64(i*peersNamed+p))
			r.Values = krpc.AppendPeer(r.Values, simnet.Addr(int(peer%(1<<28))))
		}
		if w.nodes[i].valuesOnly {
			return
		}
	}
	r.Nodes = w.nodesOf(i, ih)
}

// nodesOf returns the compact infos of node i's contacts closest to target.
func (w *world) nodesOf(i int, target krpc.ID) []byte {
	list := make([]byte, 0, k*krpc.Node4Len)
	for _, c := range w.contacts(i, target) {
		list = krpc.AppendNode(list, c)
	}
	return list
}

// token returns what lets the node at from announce itself for ih at node i.
func (w *world) token(i int, from netip.AddrPort, ih krpc.ID) []byte {
	ip := from.Addr().As4()
	of := uint64(binary.BigEndian.Uint32(ip[:]))
	return binary.BigEndian.AppendUint64(make([]byte, 0, tokenLen), w.draw(drawToken, uint64(i)<<32|of, prefixOf(ih)))
}

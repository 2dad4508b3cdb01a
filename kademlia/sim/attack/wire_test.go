package attack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// wire is an attacker who writes his own packets.
type wire struct {
	t     *testing.T
	f     *Field
	net   *simnet.Host
	sent  uint32
	reply *krpc.Message // to what was sent last; nil: none yet
}

func (f *Field) wire(t *testing.T, addr netip.AddrPort) *wire {
	w := &wire{t: t, f: f}
	w.net = f.Net.Host(addr, func(_ time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) {
		m := new(krpc.Message)
		if m.Decode(b) == nil && m.Kind != krpc.KindQuery && binary.BigEndian.Uint32(m.TID) == w.sent {
			w.reply = m.Clone()
		}
	})
	return w
}

// send sends a query, and waits for nothing.
func (w *wire) send(to netip.AddrPort, q krpc.Message) {
	w.t.Helper()
	w.sent++
	w.reply = nil
	q.Kind, q.HasID, q.ID = krpc.KindQuery, true, krpc.ID{1, 2, 3}
	q.TID = binary.BigEndian.AppendUint32(nil, w.sent)
	if err := w.net.Send(to, q.Append(nil)); err != nil {
		w.t.Fatal(err)
	}
}

// ask sends a query and returns the answer; nil if there was none within two seconds.
func (w *wire) ask(to netip.AddrPort, q krpc.Message) *krpc.Message {
	w.t.Helper()
	w.send(to, q)
	w.f.Clock.RunUntil(func() bool { return w.reply != nil }, 2*time.Second)
	return w.reply
}

func getPeers(ih krpc.ID) krpc.Message {
	return krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih}
}

func announcePeer(ih krpc.ID, port uint16, token []byte) krpc.Message {
	return krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: port, Token: token}
}

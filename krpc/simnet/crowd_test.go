package simnet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Members of a crowd answer from the address that was asked, each for itself; a
// host of its own comes first, and where nobody is nothing arrives.
func TestCrowdAnswersForManyAddresses(t *testing.T) {
	w := newWorld(1, Link{})
	a := w.inbox(Addr(0))
	host := w.inbox(Addr(1))
	w.Crowd(func(addr netip.AddrPort) krpc.PacketFunc {
		if addr == Addr(4) {
			return nil
		}
		return func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			out.Push(from, append(append(out.Buffer(), b...), addr.String()...))
		}
	})
	for i := range 4 {
		send(t, a, Addr(i+1), "I am ")
	}
	a.expect(t, "I am "+Addr(2).String(), "I am "+Addr(3).String())
	for i, g := range a.got {
		if g.from != Addr(i+2) {
			t.Errorf("%q came from %v", g.text, g.from)
		}
	}
	if len(host.got) != 1 {
		t.Errorf("the host got %v, want its datagram", host.got)
	}
	if s := w.Stats(); s.NoHost != 1 || s.Delivered != 5 || s.InFlight != 0 {
		t.Errorf("stats are %+v, want one datagram for nobody and five delivered", s)
	}
}

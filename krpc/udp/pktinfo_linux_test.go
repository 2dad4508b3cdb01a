package udp

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kadnode/kadnode/krpc"
)

// arrived is the control message of a datagram that came to ip by interface 7.
func arrived(ip netip.Addr) (c control, n int) {
	at := 16 // ipi6_ifindex follows the address
	if ip.Is4() {
		n = headerLen + unix.SizeofInet4Pktinfo
		c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		copy(c.info[4:], ip.AsSlice())
		at = 0
	} else {
		n = headerLen + unix.SizeofInet6Pktinfo
		c.header.Level, c.header.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		copy(c.info[:], ip.AsSlice())
	}
	binary.NativeEndian.PutUint32(c.info[at:], 7)
	c.header.SetLen(n)
	return c, n
}

func TestReplySource(t *testing.T) {
	for _, tc := range []struct {
		ip     string
		usable bool
		iface  uint32
	}{
		{"192.0.2.1", true, 0},
		{"2001:db8::1", true, 0},
		{"fe80::1", true, 7},
		{"ff02::1", false, 0},
	} {
		ip := netip.MustParseAddr(tc.ip)
		c, n := arrived(ip)
		got := c.asSource(n)
		if (got != nil) != tc.usable {
			t.Errorf("%s: usable %v, want %v", ip, got != nil, tc.usable)
		}
		if got == nil {
			continue
		}
		address, index := got.info[:16], got.info[16:20]
		if ip.Is4() {
			address, index = got.info[4:8], got.info[:4]
		}
		if string(address) != string(ip.AsSlice()) {
			t.Errorf("%s: address %x", ip, address)
		}
		if i := binary.NativeEndian.Uint32(index); i != tc.iface {
			t.Errorf("%s: interface %d, want %d", ip, i, tc.iface)
		}
		if c.asSource(n-1) != nil || c.asSource(0) != nil {
			t.Errorf("%s: a message cut short is usable", ip)
		}
	}
}

// unsure has whoever asks prove his address.
type unsure struct{}

// ServeKRPC implements krpc.Handler.
func (unsure) ServeKRPC(rq *krpc.Request) error {
	if rq.Reply.HasID = true; !rq.Brief() && !rq.Extend(krpc.MaxDatagram) {
		return krpc.ErrUnproven
	}
	return nil
}

// A reply that had to wait, and the ping that it waits for, come from the address that was asked,
// as others do. Else nobody takes them for what they are.
func TestProofIsAskedForFromTheAddressThatWasAsked(t *testing.T) {
	s := listen(t, netip.IPv4Unspecified(), Config{})
	r := rand.New(rand.NewPCG(1, 2))
	e := krpc.NewEndpoint(krpc.EndpointConfig{
		Transport: s, Clock: krpc.SystemClock{}, Handler: unsure{}, Rand: r, Proven: krpc.NewProven(4, r),
	})
	defer e.Close()
	s.Serve(e.Deliver)
	c := newClient(t, loopback4)
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.5"), s.LocalAddr().Port())
	expect := func(kind krpc.Kind) (tid []byte) {
		t.Helper()
		var m krpc.Message
		from, b := c.receive()
		if err := m.Decode(b); err != nil || m.Kind != kind || from != asked {
			t.Fatalf("%q from %v, error %v, want kind %v from %v", b, from, err, kind, asked)
		}
		return m.Clone().TID
	}
	get := krpc.Message{Kind: krpc.KindQuery, TID: []byte("a"), Method: krpc.MethodGet, HasID: true, HasTarget: true}
	c.send(asked, get.Append(nil))
	pong := krpc.Message{Kind: krpc.KindReply, TID: expect(krpc.KindQuery), HasID: true}
	c.send(asked, pong.Append(nil))
	expect(krpc.KindReply)
}

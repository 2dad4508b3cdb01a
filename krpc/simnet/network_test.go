package simnet

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// world is a network with its clock.
type world struct {
	*Network
	clock *Clock
}

func newWorld(seed uint64, link Link) *world {
	clock := NewClock(epoch)
	return &world{NewNetwork(clock, rand.New(rand.NewPCG(seed, 0)), link), clock}
}

// inbox is a host that keeps what it gets.
type inbox struct {
	*Host
	clock *Clock
	got   []received
}

type received struct {
	at   time.Duration // since epoch
	from netip.AddrPort
	text string
}

func (i *inbox) receive(now time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
	i.got = append(i.got, received{now.Sub(epoch), from, string(b)})
}

func (w *world) inbox(addr netip.AddrPort) *inbox {
	i := &inbox{clock: w.clock}
	i.Host = w.Host(addr, i.receive)
	return i
}

func send(t *testing.T, from krpc.Transport, to netip.AddrPort, text string) {
	t.Helper()
	if err := from.Send(to, []byte(text)); err != nil {
		t.Fatalf("send %q to %v: %v", text, to, err)
	}
}

// expect runs the network empty and checks which datagrams came in meanwhile.
func (i *inbox) expect(t *testing.T, texts ...string) {
	t.Helper()
	i.got = nil
	i.clock.Run(time.Second)
	for k, g := range i.got {
		if k >= len(texts) || g.text != texts[k] {
			t.Fatalf("got %v, want %q", i.got, texts)
		}
	}
	if len(i.got) != len(texts) {
		t.Fatalf("got %v, want %q", i.got, texts)
	}
}

func TestDatagramArrivesLaterFromItsSender(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	payload := []byte("hello")
	if err := a.Send(Addr(1), payload); err != nil {
		t.Fatal(err)
	}
	copy(payload, "wrong") // the network has a copy
	if len(b.got) != 0 {
		t.Fatal("delivered inside Send")
	}
	w.clock.Run(time.Second)
	want := received{DefaultLatency, a.LocalAddr(), "hello"}
	if len(b.got) != 1 || b.got[0] != want {
		t.Errorf("got %v, want %v", b.got, want)
	}
}

func TestReplyLeavesFromTheHostThatWasAsked(t *testing.T) {
	w := newWorld(1, Link{Latency: ConstantLatency(10 * time.Millisecond)})
	client := w.inbox(Addr(0))
	delivering := false
	for i := 1; i <= 2; i++ {
		w.Host(Addr(i), func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			if delivering {
				t.Error("delivered inside a delivery")
			}
			delivering = true
			for range 2 {
				reply := append(out.Buffer(), "re: "...)
				out.Push(from, append(reply, b...))
			}
			delivering = false
		})
		send(t, client, Addr(i), "ping")
	}
	w.clock.Run(time.Second)
	if len(client.got) != 4 {
		t.Fatalf("got %v, want 4 replies", client.got)
	}
	for i, g := range client.got {
		if want := (received{20 * time.Millisecond, Addr(1 + i/2), "re: ping"}); g != want {
			t.Errorf("reply %d: %v, want %v", i, g, want)
		}
	}
}

func TestEverySizeArrivesWhole(t *testing.T) {
	w := newWorld(1, Link{})
	var got []byte
	a := w.inbox(Addr(0))
	w.Host(Addr(1), func(_ time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) { got = bytes.Clone(b) })
	for size := range krpc.MaxDatagram + 1 {
		want := bytes.Repeat([]byte{byte(size)}, size)
		if err := a.Send(Addr(1), want); err != nil {
			t.Fatal(err)
		}
		w.clock.Run(time.Second)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes arrived as %d", size, len(got))
		}
	}
}

func TestSendRefusesWhatASocketWould(t *testing.T) {
	w := newWorld(1, Link{})
	h := w.Host(Addr(0), nil)
	closed := w.Host(Addr(1), nil)
	closed.Close()
	for _, c := range []struct {
		name string
		host *Host
		to   netip.AddrPort
		size int
		want error
	}{
		{"closed", closed, Addr(2), 1, net.ErrClosed},
		{"too long", h, Addr(2), krpc.MaxDatagram + 1, errTooLong},
		{"other family", h, Addr6(0), 1, errFamily},
		{"port 0", h, netip.AddrPortFrom(Addr(2).Addr(), 0), 1, errAddress},
		{"unspecified", h, netip.MustParseAddrPort("0.0.0.0:6881"), 1, errAddress},
		{"multicast", h, netip.MustParseAddrPort("224.0.0.1:6881"), 1, errAddress},
		{"none", h, netip.AddrPort{}, 1, errAddress},
	} {
		if err := c.host.Send(c.to, make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if s := w.Stats(); s.Refused != 7 || s.Sent != 0 || w.clock.Pending() != 0 {
		t.Errorf("stats %+v, want 7 refused and nothing sent", s)
	}
}

func TestMappedAddressesAreUnmapped(t *testing.T) {
	w := newWorld(1, Link{})
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	a, b := w.inbox(mapped(Addr(0))), w.inbox(Addr(1))
	send(t, a, mapped(Addr(1)), "x")
	b.expect(t, "x")
	if b.got[0].from != Addr(0) {
		t.Errorf("from %v, want %v", b.got[0].from, Addr(0))
	}
}

func TestAddressesOfHosts(t *testing.T) {
	w := newWorld(1, Link{})
	w.Host(Addr(0), nil)
	for _, addr := range []netip.AddrPort{Addr(0), {}, netip.MustParseAddrPort("[::]:1"), netip.AddrPortFrom(Addr(1).Addr(), 0)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("host at %v: no panic", addr)
				}
			}()
			w.Host(addr, nil)
		}()
	}
}

func TestClosedAndDownHosts(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))

	send(t, a, Addr(1), "in flight when b goes down")
	b.SetDown(true)
	b.expect(t)
	send(t, b, Addr(0), "from a host that is down")
	a.expect(t)
	send(t, a, Addr(1), "in flight when b comes up")
	b.SetDown(false)
	b.expect(t, "in flight when b comes up")

	send(t, a, Addr(1), "in flight when b closes")
	b.Close()
	b.Close()
	b.expect(t)
	send(t, a, Addr(1), "to the address")
	successor := w.inbox(Addr(1))
	b.Close() // does not take the address from its successor
	successor.expect(t, "to the address")

	s := w.Stats()
	if s.HostDown != 2 || s.NoHost != 1 || s.Delivered != 2 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWhatIsInFlightGoesToWhoDeliverIsSetTo(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.Host(Addr(1), nil)
	send(t, a, Addr(1), "x")
	var got []string
	b.SetDeliver(func(_ time.Time, _ netip.AddrPort, p []byte, _ krpc.Outbox) { got = append(got, string(p)) })
	w.clock.Run(time.Second)
	if len(got) != 1 || got[0] != "x" {
		t.Errorf("got %q", got)
	}
}

func TestHostMayCloseWhileItIsDeliveredTo(t *testing.T) {
	w := newWorld(1, Link{})
	a := w.inbox(Addr(0))
	var b *Host
	b = w.Host(Addr(1), func(_ time.Time, from netip.AddrPort, _ []byte, out krpc.Outbox) {
		b.Close()
		out.Push(from, append(out.Buffer(), "last words"...))
	})
	send(t, a, Addr(1), "x")
	a.expect(t)
	if s := w.Stats(); s.Refused != 1 {
		t.Errorf("stats %+v, want the reply refused", s)
	}
}

func TestThousandHostsPingPong(t *testing.T) {
	w := newWorld(1, Link{Latency: ConstantLatency(25 * time.Millisecond)})
	const n, rallies = 1000, 40
	hosts, counts := make([]*Host, n), make([]int, n)
	for i := range n {
		hosts[i] = w.Host(Addr(i), func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			if counts[i]++; counts[i] < rallies {
				out.Push(from, append(out.Buffer(), b...))
			}
		})
	}
	for i := 0; i < n; i += 2 {
		send(t, hosts[i], Addr(i+1), "ball")
	}
	w.clock.Run(time.Minute)
	for i, c := range counts {
		// The odd side takes the serve and so also the last ball.
		if want := rallies - 1 + i%2; c != want {
			t.Fatalf("host %d hit the ball %d times, want %d", i, c, want)
		}
	}
	s := w.Stats()
	if want := uint64(n / 2 * (2*rallies - 1)); s.Sent != want || s.Delivered != want || s.DeliveredBytes != 4*want {
		t.Errorf("stats %+v, want %d sent and delivered", s, want)
	}
	if w.clock.Pending() != 0 {
		t.Errorf("%d events left", w.clock.Pending())
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	w := newWorld(1, Link{Latency: LognormalRTT(90*time.Millisecond, 350*time.Millisecond, 1), Reorder: 0.1})
	echo := func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		out.Push(from, append(out.Buffer(), b...))
	}
	w.Host(Addr(0), echo)
	a := w.Host(Addr(1), echo)
	natted := w.NATHost(Addr(2), private, Symmetric, 0, echo)
	for size := range 200 {
		send(t, a, Addr(0), string(make([]byte, 10*size)))
		send(t, natted, Addr(0), string(make([]byte, 10*size)))
	}
	w.Partition(func(netip.AddrPort) int { return 0 })
	w.clock.Run(time.Second) // fills the pool
	if allocs := testing.AllocsPerRun(10, func() { w.clock.Run(time.Second) }); allocs > 0 {
		t.Errorf("%v allocations in a second of packets, want 0", allocs)
	}
	if s := w.Stats(); s.Delivered < 10_000 || s.Delivered+s.InFlight != s.Sent {
		t.Errorf("stats %+v, want ten thousand delivered and none dropped", s)
	}
}

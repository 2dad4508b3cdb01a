package udp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func newAsker(t testing.TB, ip netip.Addr, cfg Config) *Client {
	t.Helper()
	c, err := NewClient(netip.AddrPortFrom(ip, 0), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receiveAll calls f with the next n datagrams.
func receiveAll(t testing.TB, c *Client, n int, f func(from netip.AddrPort, at netip.Addr, b []byte)) {
	t.Helper()
	for deadline := time.Now().Add(patience); n > 0; {
		got, err := c.Receive(deadline)
		if err != nil || got == 0 {
			t.Fatalf("%d datagrams missing, error %v", n, err)
		}
		for i := range got {
			if from, at, b, ok := c.Datagram(i); ok {
				f(from, at, b)
				n--
			}
		}
	}
}

func TestClientAsksInBatches(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		s.Serve(echo)
		c := newAsker(t, ip, cfg)
		const queries = 2*batchLen + 7
		for i := range queries {
			c.Push(netip.Addr{}, s.LocalAddr(), append(c.Buffer(), byte(i)))
		}
		c.Flush()
		var seen [queries]bool
		receiveAll(t, c, queries, func(from netip.AddrPort, at netip.Addr, b []byte) {
			if from != s.LocalAddr() || at.IsValid() {
				t.Errorf("from %v to %v, want from %v", from, at, s.LocalAddr())
			}
			seen[b[0]] = true
		})
		for i, ok := range seen {
			if !ok {
				t.Errorf("query %d was not answered", i)
			}
		}
		if got := c.Stats().PacketsOut; got != queries {
			t.Errorf("%d sent, want %d", got, queries)
		}
	})
}

func TestClientWaitsUntilTheDeadline(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		c := newAsker(t, ip, cfg)
		for _, deadline := range []time.Time{{}, time.Unix(1, 0), time.Now().Add(10 * time.Millisecond)} {
			if n, err := c.Receive(deadline); n != 0 || err != nil {
				t.Errorf("%d datagrams, error %v", n, err)
			}
			if time.Now().Before(deadline) {
				t.Error("back before the deadline")
			}
		}
		// A deadline that is over keeps nothing from being read that is there.
		newClient(t, ip).send(c.LocalAddr(), []byte("early"))
		for end := time.Now().Add(patience); ; {
			if n, err := c.Receive(time.Time{}); n == 1 {
				break
			} else if err != nil || time.Now().After(end) {
				t.Fatalf("nothing read, error %v", err)
			}
		}
	})
}

func TestClientChoosesTheSource(t *testing.T) {
	if !CanChooseSource {
		t.Skip("this system does not let a socket choose")
	}
	s := listen(t, loopback4, Config{})
	s.Serve(func(now time.Time, from netip.AddrPort, _ []byte, out krpc.Outbox) {
		out.Push(from, append(out.Buffer(), from.Addr().AsSlice()...))
	})
	c := newAsker(t, netip.IPv4Unspecified(), Config{})
	const sources = 100
	for i := range byte(sources) {
		c.Push(netip.AddrFrom4([4]byte{127, i, 0, 1}), s.LocalAddr(), append(c.Buffer(), 'x'))
	}
	c.Flush()
	seen := make(map[netip.Addr]bool)
	receiveAll(t, c, sources, func(_ netip.AddrPort, at netip.Addr, b []byte) {
		if string(b) != string(at.AsSlice()) {
			t.Errorf("came to %v, was sent from % x", at, b)
		}
		seen[at] = true
	})
	if len(seen) != sources {
		t.Errorf("%d sources, want %d", len(seen), sources)
	}
}

func TestClientChoosesTheSourceIPv6(t *testing.T) {
	needIPv6(t)
	if !CanChooseSource {
		t.Skip("this system does not let a socket choose")
	}
	s := listen(t, loopback6, Config{})
	s.Serve(echo)
	c := newAsker(t, netip.IPv6Unspecified(), Config{})
	c.Push(loopback6, s.LocalAddr(), append(c.Buffer(), 'x'))
	c.Flush()
	receiveAll(t, c, 1, func(_ netip.AddrPort, at netip.Addr, _ []byte) {
		if at != loopback6 {
			t.Errorf("came to %v", at)
		}
	})
}

func TestClientIsOneReader(t *testing.T) {
	if _, err := NewClient(netip.AddrPortFrom(loopback4, 0), Config{Readers: 2}); err == nil {
		t.Error("two readers: no error")
	}
}

func TestClientAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := listen(t, loopback4, Config{})
	s.Serve(echo)
	c := newAsker(t, netip.IPv4Unspecified(), Config{})
	round := func() {
		for range echoWindow {
			c.Push(loopback4, s.LocalAddr(), append(c.Buffer(), "0123456789"...))
		}
		c.Flush()
		receiveAll(t, c, echoWindow, func(netip.AddrPort, netip.Addr, []byte) {})
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for %d datagrams", n, echoWindow)
	}
}

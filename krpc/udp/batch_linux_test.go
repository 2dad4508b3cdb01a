package udp

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kadnode/kadnode/krpc"
)

func TestWaitingDatagramsAreOneBatch(t *testing.T) {
	s := listen(t, loopback4, Config{})
	c := newClient(t, loopback4)
	for i := range batchLen {
		c.send(s.LocalAddr(), []byte{byte(i)})
	}
	var times []time.Time // the reader's until Close returns
	s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		times = append(times, now)
		echo(now, from, b, out)
	})
	var seen [batchLen]bool
	for range batchLen {
		_, b := c.receive()
		seen[b[0]] = true
	}
	s.Close()
	for i, ok := range seen {
		if !ok {
			t.Errorf("datagram %d was not answered", i)
		}
	}
	for _, now := range times {
		if now != times[0] {
			t.Fatalf("delivered at %v and %v, want one batch", times[0], now)
		}
	}
}

// With IP_RECVERR the kernel reports ICMP errors also to a socket that is not
// connected, by failing whichever call comes next.
func TestReportedICMPErrorsDoNotStopServing(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		raw, err := s.conns[0].SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		level, name := unix.IPPROTO_IP, unix.IP_RECVERR
		if ip.Is6() {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
		}
		if err := setOption(raw, level, name, 1); err != nil {
			t.Fatal(err)
		}
		s.Serve(echo)
		nobody, c := closedPort(t, ip), newClient(t, ip)
		for range 20 {
			_ = s.Send(nobody, []byte("anyone?")) // may report the one before
			// So may the echo, which is lost with it: ask again.
			for answered := false; !answered; {
				c.send(s.LocalAddr(), []byte("still there?"))
				c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, _, err := c.conn.ReadFromUDPAddrPort(c.buf[:])
				answered = err == nil
			}
		}
		s.Close()
		if got := s.Stats(); got.Unreachable == 0 || got.ReceiveErrors+got.SendErrors > 0 {
			t.Errorf("stats %+v, want errors, and all of them unreachable", got)
		}
	})
}

func TestReadersShareTheAddress(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		cfg.Readers = 2
		s := listen(t, ip, cfg)
		var mu sync.Mutex
		delivered := map[krpc.Outbox]int{}
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			mu.Lock()
			delivered[out]++
			mu.Unlock()
			echo(now, from, b, out)
		})
		const clients = 64 // the kernel picks the socket by a hash of the client's address
		for range clients {
			newClient(t, ip).expectEcho(s.LocalAddr(), []byte("one of many"))
		}
		s.Close()
		if len(delivered) != 2 || s.Stats().PacketsIn != clients {
			t.Errorf("%d readers took part, %d datagrams, want 2 and %d",
				len(delivered), s.Stats().PacketsIn, clients)
		}
	})
}

func TestSharedAddressIsNotSharedWithStrangers(t *testing.T) {
	s := listen(t, loopback4, Config{Readers: 2})
	for _, readers := range []int{1, 2} {
		_, err := Listen(s.LocalAddr(), Config{Readers: readers})
		expectError(t, err, syscall.EADDRINUSE)
	}
}

func TestWildcardAnswersFromTheAddressAsked(t *testing.T) {
	s := listen(t, netip.IPv4Unspecified(), Config{})
	c := newClient(t, loopback4)
	// One batch, so that each reply must keep an address of its own.
	for i := byte(2); i < 40; i++ {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, i}), s.LocalAddr().Port())
		c.send(to, []byte{i})
	}
	s.Serve(echo)
	for range 40 - 2 {
		from, b := c.receive()
		if want := netip.AddrFrom4([4]byte{127, 0, 0, b[0]}); from.Addr().Unmap() != want {
			t.Errorf("reply %d from %v, want %v", b[0], from, want)
		}
	}
}

func TestWildcardAnswersFromTheAddressAskedIPv6(t *testing.T) {
	needIPv6(t)
	s := listen(t, netip.IPv6Unspecified(), Config{})
	s.Serve(echo)
	port := s.LocalAddr().Port()
	newClient(t, loopback6).expectEcho(netip.AddrPortFrom(loopback6, port), []byte("loopback"))

	// From ::1 the kernel would answer by itself from ::1.
	other := localIPv6(t, netip.Addr.IsGlobalUnicast)
	newClient(t, loopback6).expectEcho(netip.AddrPortFrom(other, port), []byte("global"))
}

func TestLinkLocalAddressesKeepTheirZone(t *testing.T) {
	linkLocal := localIPv6(t, netip.Addr.IsLinkLocalUnicast)
	global := localIPv6(t, netip.Addr.IsGlobalUnicast)
	for _, tc := range []struct {
		name      string
		bound, to netip.Addr
	}{
		{"link-local", linkLocal, linkLocal},
		{"wildcard", netip.IPv6Unspecified(), linkLocal},
		{"global", global, global},
	} {
		for _, cfg := range []Config{{}, {plain: true}} {
			t.Run(tc.name, func(t *testing.T) {
				s := listen(t, tc.bound, cfg)
				froms := make(chan netip.AddrPort, 1)
				s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
					froms <- from
					echo(now, from, b, out)
				})
				c := newClient(t, linkLocal)
				c.expectEcho(netip.AddrPortFrom(tc.to, s.LocalAddr().Port()), []byte("neighbour"))
				if from := <-froms; from != c.addr() {
					t.Errorf("delivered from %v, want %v", from, c.addr())
				}
				if err := s.Send(c.addr(), []byte("query")); err != nil {
					t.Error(err)
				}
				c.receive()
			})
		}
	}
}

// localIPv6 returns an IPv6 address of this machine that is as wanted. What is
// sent to it does not leave the machine.
func localIPv6(t *testing.T, wanted func(netip.Addr) bool) netip.Addr {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifc := range interfaces {
		addrs, err := ifc.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || !prefix.Addr().Is6() || !wanted(prefix.Addr()) {
				continue
			}
			if prefix.Addr().IsLinkLocalUnicast() {
				return prefix.Addr().WithZone(ifc.Name)
			}
			return prefix.Addr()
		}
	}
	t.Skip("NOT TESTED: this machine has no such IPv6 address")
	return netip.Addr{}
}

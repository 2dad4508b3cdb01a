package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// patience bounds what a test waits for a datagram that must come.
const patience = 5 * time.Second

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// eachPath runs a scenario with batched and with plain calls, over IPv4 and
// IPv6. Where the system has no batched calls, both are plain.
func eachPath(t *testing.T, scenario func(t *testing.T, ip netip.Addr, cfg Config)) {
	for _, path := range []struct {
		name string
		cfg  Config
	}{{"batched", Config{}}, {"plain", Config{plain: true}}} {
		t.Run(path.name+"/ipv4", func(t *testing.T) { scenario(t, loopback4, path.cfg) })
		t.Run(path.name+"/ipv6", func(t *testing.T) {
			needIPv6(t)
			scenario(t, loopback6, path.cfg)
		})
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	pc, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("this machine has no IPv6, and CI has to test it: %v", err)
		}
		t.Skipf("NOT TESTED: this machine has no IPv6: %v", err)
	}
	pc.Close()
}

// listen binds ip on a free port until the test ends.
func listen(t testing.TB, ip netip.Addr, cfg Config) *Socket {
	t.Helper()
	s, err := Listen(netip.AddrPortFrom(ip, 0), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// echo answers each datagram with itself.
func echo(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
	out.Push(from, append(out.Buffer(), b...))
}

// client is a peer made of nothing but package net.
type client struct {
	t    testing.TB
	conn *net.UDPConn
	buf  [4096]byte
}

func newClient(t testing.TB, ip netip.Addr) *client {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadBuffer(1 << 20)
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn}
}

func (c *client) addr() netip.AddrPort {
	return c.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (c *client) send(to netip.AddrPort, b []byte) {
	c.t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(b, to); err != nil {
		c.t.Fatalf("client: %v", err)
	}
}

// receive returns the next datagram; it is valid until the next call.
func (c *client) receive() (from netip.AddrPort, b []byte) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := c.conn.ReadFromUDPAddrPort(c.buf[:])
	if err != nil {
		c.t.Fatalf("client: %v", err)
	}
	return from, c.buf[:n]
}

// expectEcho checks that to answers b with b.
func (c *client) expectEcho(to netip.AddrPort, b []byte) {
	c.t.Helper()
	c.send(to, b)
	if from, got := c.receive(); string(got) != string(b) || from != to {
		c.t.Fatalf("%d bytes from %v, want the %d sent to %v", len(got), from, len(b), to)
	}
}

// closedPort returns an address of ip that nobody listens on.
func closedPort(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	c := newClient(t, ip)
	defer c.conn.Close()
	return c.addr()
}

func expectError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

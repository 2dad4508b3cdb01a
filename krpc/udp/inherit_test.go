//go:build unix

package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handOver gives what s reads to a new Socket, which does not serve yet.
func handOver(t *testing.T, s *Socket, cfg Config) *Socket {
	t.Helper()
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	for _, f := range files {
		f.Fd() // as exec.Cmd calls it
	}
	sockets, err := Inherit(files, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(sockets) != 1 || sockets[0].LocalAddr() != s.LocalAddr() {
		t.Fatalf("%d sockets inherited, want one for %v", len(sockets), s.LocalAddr())
	}
	t.Cleanup(func() { sockets[0].Close() })
	return sockets[0]
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// crowd is clients that ask, and wait for the answer to each question, until told to stop.
type crowd struct {
	stop     chan struct{}
	progress chan struct{} // one for each window of questions that was answered
	all      sync.WaitGroup
}

func newCrowd(t *testing.T, ip netip.Addr, to netip.AddrPort, clients int) *crowd {
	c := &crowd{stop: make(chan struct{}), progress: make(chan struct{})}
	for range clients {
		conn := newClient(t, ip).conn
		c.all.Go(func() {
			for first := uint32(0); ; first += 16 {
				if err := askAll(conn, to, first, first+16); err != nil {
					t.Errorf("of the questions from %d on, some are unanswered: %v", first, err)
					<-c.stop
					return
				}
				select {
				case c.progress <- struct{}{}:
				case <-c.stop:
					return
				default:
				}
			}
		})
	}
	return c
}

// askAll sends the numbers from first to end and waits for each to come back.
func askAll(conn *net.UDPConn, to netip.AddrPort, first, end uint32) error {
	for i := first; i < end; i++ {
		if _, err := conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, i), to); err != nil {
			return err
		}
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	for range end - first {
		var b [4]byte
		if _, err := conn.Read(b[:]); err != nil {
			return err
		}
		if i := binary.BigEndian.Uint32(b[:]); i < first || i >= end {
			return errors.New("an answer to something else")
		}
	}
	return nil
}

// advance waits until the crowd has had some more answers.
func (c *crowd) advance(t *testing.T) {
	t.Helper()
	for range 20 {
		select {
		case <-c.progress:
		case <-time.After(2 * patience):
			t.Fatal("nobody is answered any more")
		}
	}
}

// A process hands its sockets to its successor, again and again, under load.
func TestHandOverLosesNothing(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		for _, readers := range []int{1, 4} {
			if readers > 1 && !canShare {
				continue
			}
			cfg.Readers = readers
			s := listen(t, ip, cfg)
			s.Serve(echo)
			c := newCrowd(t, ip, s.LocalAddr(), 8)
			for range 20 {
				c.advance(t)
				successor := handOver(t, s, cfg)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if in, out := s.Stats().PacketsIn, s.Stats().PacketsOut; in != out {
					t.Errorf("closed with %d datagrams in and %d out", in, out)
				}
				successor.Serve(echo)
				s = successor
			}
			c.advance(t)
			close(c.stop)
			c.all.Wait()
		}
	})
}

// What comes while nobody reads waits for the successor, also when the old sockets
// are closed.
func TestQueueIsInherited(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		s.Serve(echo)
		c := newClient(t, ip)
		c.expectEcho(s.LocalAddr(), []byte("still the old one"))
		s.Stop()
		s.Stop()
		c.send(s.LocalAddr(), []byte("is anybody there?"))
		if err := s.Send(c.addr(), []byte("I can still talk")); err != nil {
			t.Error(err)
		}
		if _, b := c.receive(); string(b) != "I can still talk" {
			t.Errorf("received %q", b)
		}
		successor := handOver(t, s, cfg)
		s.Close()
		successor.Serve(echo)
		if _, b := c.receive(); string(b) != "is anybody there?" {
			t.Errorf("received %q", b)
		}
		_, err := s.Files()
		expectError(t, err, net.ErrClosed)
	})
}

// Who starts a child process asks for the descriptors: that must not turn the socket,
// which is shared, to blocking mode, in which no deadline would wake its reader.
func TestFilesLeaveTheSocketNonblocking(t *testing.T) {
	files, err := listen(t, loopback4, Config{}).Files()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: want O_NONBLOCK", flags, err)
	}
}

// A socket in blocking mode, as a service manager makes it, does not hang its reader.
func TestInheritedSocketIsNonblocking(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		f, err := newClient(t, ip).conn.File()
		if err != nil {
			t.Fatal(err)
		}
		syscall.SetNonblock(int(f.Fd()), false)
		sockets, err := Inherit([]*os.File{f}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		sockets[0].Serve(echo)
		newClient(t, ip).expectEcho(sockets[0].LocalAddr(), []byte("hello"))
		if err := sockets[0].Close(); err != nil { // waits for the reader
			t.Error(err)
		}
	})
}

// A child process serves what its parent has bound, and what came in between.
func TestChildProcessInherits(t *testing.T) {
	if os.Getenv("UDP_TEST_CHILD") != "" {
		serveAsChild(t)
		return
	}
	s := listen(t, loopback4, Config{})
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestChildProcessInherits$")
	child.Env = append(os.Environ(), "UDP_TEST_CHILD=1")
	child.ExtraFiles = files
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, loopback4)
	c.send(s.LocalAddr(), []byte("before there is a child"))
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	closeFiles(files)
	s.Close()
	if _, b := c.receive(); string(b) != "before there is a child" {
		t.Errorf("received %q", b)
	}
	c.expectEcho(s.LocalAddr(), []byte("hello, child"))
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// serveAsChild echoes on the socket that is descriptor 3 until the parent is done.
func serveAsChild(t *testing.T) {
	f := os.NewFile(3, "from the parent")
	sockets, err := Inherit([]*os.File{f}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	sockets[0].Serve(echo)
	io.Copy(io.Discard, os.Stdin)
	closeAll(sockets)
}

func TestInheritGroupsByAddress(t *testing.T) {
	if !canShare {
		t.Skip("one reader an address is all there is")
	}
	a, b := listen(t, loopback4, Config{Readers: 2}), listen(t, loopback4, Config{})
	var files []*os.File
	defer func() { closeFiles(files) }()
	for _, s := range []*Socket{b, a} {
		more, err := s.Files()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	sockets, err := Inherit(files, Config{Readers: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(sockets)
	a.Close()
	b.Close()
	if len(sockets) != 2 || sockets[0].LocalAddr() != b.LocalAddr() || sockets[1].LocalAddr() != a.LocalAddr() {
		t.Fatalf("%d sockets, want one at %v and one at %v", len(sockets), b.LocalAddr(), a.LocalAddr())
	}
	for _, s := range sockets {
		if len(s.links) != 3 {
			t.Errorf("%d readers, want the missing ones to be bound", len(s.links))
		}
		s.Serve(echo)
		for range 50 { // from many ports, so that each reader gets some
			newClient(t, loopback4).expectEcho(s.LocalAddr(), []byte("hello"))
		}
	}
}

// Bound to all addresses, an inherited socket answers from the one it was asked at.
func TestInheritedWildcardAnswersFromWhereItWasAsked(t *testing.T) {
	if !canChooseSource {
		t.Skip("the kernel does not tell")
	}
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sockets, err := Inherit([]*os.File{f}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(sockets)
	sockets[0].Serve(echo)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), sockets[0].LocalAddr().Port())
	newClient(t, loopback4).expectEcho(to, []byte("who are you?"))
}

func TestInheritRefuses(t *testing.T) {
	file := func(c interface{ File() (*os.File, error) }) *os.File {
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	refused := func(name, says string, f *os.File) {
		t.Helper()
		defer f.Close()
		sockets, err := Inherit([]*os.File{f}, Config{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %d sockets and error %v, want one that says %q", name, len(sockets), err, says)
		}
		closeAll(sockets)
	}

	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	refused("a file", "not a UDP socket", plain)

	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	refused("a TCP socket", "not a UDP socket", file(tcp.(*net.TCPListener)))

	local, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "local"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	refused("a local socket", "not a UDP socket", file(local.(*net.UnixConn)))

	connected, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(closedPort(t, loopback4)))
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	refused("a connected socket", "connected", file(connected))

	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	refused("an unbound socket", "not bound", os.NewFile(uintptr(fd), "unbound"))

	needIPv6(t)
	// A host and port without a network make a socket of both families.
	dual, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dual.Close()
	refused("a socket of both families", "BindIPv6Only=ipv6-only", file(dual.(*net.UDPConn)))
}

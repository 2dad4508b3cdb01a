package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// startActivated starts a node as systemd starts a service that it has sockets for: with their
// files, and the environment that says so, unless env says otherwise. args come first.
func startActivated(t *testing.T, files []*os.File, env []string, args ...string) *process {
	t.Helper()
	args = append(args, "--log-format", "json", "--bootstrap", "none", "--rate-limit", "0")
	script := "LISTEN_PID=$$ exec \"$0\" \"$@\"" // the shell becomes kadnode, and keeps its number
	cmd := exec.Command("sh", append([]string{"-c", script, os.Args[0]}, args...)...)
	cmd.ExtraFiles = files
	cmd.Env = append(append(os.Environ(), fmt.Sprintf("%s=%d", listenFDs, len(files))), env...)
	return startCommand(t, cmd)
}

// bound returns a UDP socket as systemd has it, and its address.
func bound(t *testing.T) (*os.File, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// accepting returns a TCP socket as systemd has it, and its address.
func accepting(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String()
}

// Queries that were sent before there was a process are answered, the pages are at the socket
// that was there before, and the service manager hears when it is ready, and when no more.
func TestSocketActivation(t *testing.T) {
	udpFile, target := bound(t)
	tcpFile, web := accepting(t)
	notices := notifySocket(t)
	early := make(chan error, 1)
	var answered int
	a := newInquirer(t, target)
	a.silence = 2 * patience // nothing is asked twice
	go func() {
		left := askedAtOnce
		early <- a.ask(func() *inquiry {
			if left--; left < 0 {
				return nil
			}
			return &inquiry{from: a.address(left), query: krpc.Message{Method: krpc.MethodPing}, answered: func(*krpc.Message) { answered++ }}
		}, nil)
	}()
	await(t, "queries in the kernel", func() bool { return !strings.HasSuffix(kernelSocket(t, target)[4], ":00000000") })

	p := startActivated(t, []*os.File{udpFile, tcpFile}, []string{"NOTIFY_SOCKET=" + notices.name})
	p.line(`"serving"`)
	if err := <-early; err != nil || answered != askedAtOnce {
		t.Errorf("%d answered, error %v", answered, err)
	}
	s := serving{HTTP: web}
	if status, page := s.get(t, "/metrics"); status != 200 || !strings.Contains(page, "kadnode_build_info") {
		t.Errorf("metrics: %d %s", status, page)
	}
	if got, want := notices.next(t), fmt.Sprintf("READY=1\nMAINPID=%d", p.cmd.Process.Pid); got != want {
		t.Errorf("notice %q, want %q", got, want)
	}
	p.signal(syscall.SIGTERM)
	if got := notices.next(t); got != "STOPPING=1" {
		t.Errorf("notice %q", got)
	}
	if status := p.exits(2 * time.Second); status != exitDone {
		t.Errorf("status %d", status)
	}
}

// Sockets for another process are left alone.
func TestSocketsOfSomebodyElse(t *testing.T) {
	file, _ := bound(t)
	t.Setenv(listenPID, "1")
	cmd := exec.Command(os.Args[0], "--bootstrap", "none", "--listen", "127.0.0.1:0", "--http", "none", "--log-format", "json")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env = append(os.Environ(), listenFDs+"=1")
	startCommand(t, cmd).line(`"serving"`) // with them it would refuse: they are not what --listen says
}

// Sockets that cannot be served are an error that says so.
func TestUnfitSockets(t *testing.T) {
	one, _ := accepting(t)
	two, _ := accepting(t)
	p := startActivated(t, []*os.File{one, two}, nil)
	p.fails("a second one that accepts connections")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p = startActivated(t, []*os.File{r}, nil)
	p.fails("not a UDP socket")
}

// The numbers of files that were not passed are those that the Go runtime gives its own, on which
// it depends. They are found out, and left alone.
func TestFilesThatWereNotPassed(t *testing.T) {
	udp, _ := bound(t)
	for range 3 { // it has opened more or less of them
		for _, n := range []string{"1", "4", "20"} {
			p := startActivated(t, nil, []string{listenFDs + "=" + n})
			p.fails(fmt.Sprintf("%s=%q: file 3: ", listenFDs, n))
			p = startActivated(t, []*os.File{udp}, []string{listenFDs + "=2" + n})
			p.fails("file 4: ")
			p = startActivated(t, nil, []string{listenFDs + "=" + n + "0", handoverVariable + "=" + handoverWithLock})
			p.fails("file 3: not a pipe")
		}
	}
}

// fails waits until the process has said why it fails, and has ended.
func (p *process) fails(says string) {
	p.t.Helper()
	p.line(says)
	if status := p.exits(patience); status != exitFailed || p.count("goroutine ") > 0 {
		p.t.Errorf("status %d", status)
	}
}

// notices is where a service manager is told things.
type notices struct {
	name string
	conn *net.UnixConn
}

func notifySocket(t *testing.T) *notices {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notices{name, conn}
}

func (n *notices) next(t *testing.T) string {
	t.Helper()
	n.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 1024)
	size, err := n.conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:size])
}

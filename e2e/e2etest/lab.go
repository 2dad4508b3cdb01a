package e2etest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/netns"
)

const (
	// Port is the UDP port of the nodes of a Lab, and of the clients beside them.
	Port = 6881
	// commandTimeout ends a subcommand of kadnode that hangs, which none may.
	commandTimeout = 40 * time.Second
	// joinTimeout is how long a network of a dozen nodes may take to form.
	joinTimeout = 60 * time.Second
)

// Binary builds kadnode and returns its path. The main module is found from the
// directory of any module that depends on it.
func Binary(t testing.TB) string {
	t.Helper()
	root, err := Output(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kadnode/kadnode"))
	if err != nil {
		t.Fatal(err)
	}
	return Build(t, strings.TrimSpace(string(root)), "./cmd/kadnode")
}

// Build compiles a program of the module in dir and returns its path. Under go test
// -race it has the race detector too, else it is without cgo.
func Build(t testing.TB, dir, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if raceEnabled {
		cmd = exec.Command("go", "build", "-race", "-o", bin, pkg)
	}
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

// Lab is a network in which kadnodes run, each on a host of its own.
type Lab struct {
	Nodes []*Node

	net *netns.Network
	bin string
}

// Node is a running kadnode that serves both address families.
type Node struct {
	*Process
	Host *netns.Host
}

// Addr4 and Addr6 are where the node is reached.
func (n *Node) Addr4() netip.AddrPort { return netip.AddrPortFrom(n.Host.Addr4, Port) }
func (n *Node) Addr6() netip.AddrPort { return netip.AddrPortFrom(n.Host.Addr6, Port) }

// NewLab starts nodes that all bootstrap from the first, and waits until every
// one is ready. It skips t where namespaces cannot be made. A test binary may have
// one Lab at a time.
func NewLab(t testing.TB, nodes int) *Lab {
	t.Helper()
	if err := netns.Missing(); err != nil {
		SkipOrFail(t, err)
	}
	l := &Lab{bin: Binary(t)}
	var err error
	if l.net, err = netns.New("lab"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.net.Close(); err != nil {
			t.Error(err)
		}
	})
	for range nodes {
		l.startNode(t)
	}
	for i, n := range l.Nodes {
		Eventually(t, joinTimeout, fmt.Sprintf("node %d is ready", i), func() error {
			n.MustRun(t)
			_, err := Fetch(t.Context(), n.Host, "http://127.0.0.1:9681/readyz")
			return err
		})
	}
	return l
}

func (l *Lab) startNode(t testing.TB) {
	t.Helper()
	h := l.NewHost(t)
	n := &Node{Host: h}
	bootstrap := "none"
	if len(l.Nodes) > 0 {
		first := l.Nodes[0]
		bootstrap = first.Addr4().String() + "," + first.Addr6().String()
	}
	n.Process = Start(t, fmt.Sprintf("kadnode %d", len(l.Nodes)), h.Command(context.Background(), l.bin,
		"--listen", n.Addr4().String(), "--listen", n.Addr6().String(),
		"--bootstrap", bootstrap, "--http", "127.0.0.1:9681", "--data-dir", t.TempDir()))
	l.Nodes = append(l.Nodes, n)
}

// NewHost adds a host on which nothing runs.
func (l *Lab) NewHost(t testing.TB) *netns.Host {
	t.Helper()
	h, err := l.net.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Kadnode runs a subcommand on a host and returns what it prints on stdout.
func (l *Lab) Kadnode(h *netns.Host, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := h.Command(ctx, l.bin, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // shows where it hangs
	cmd.WaitDelay = time.Second
	out, err := Output(cmd)
	return string(out), err
}

// HasPeer looks an info-hash up with kadnode, through one node; it returns an
// error until it finds peer.
func (l *Lab) HasPeer(h *netns.Host, bootstrap netip.AddrPort, infoHash string, peer netip.AddrPort) error {
	out, err := l.Kadnode(h, "get-peers", infoHash, "--bootstrap", bootstrap.String(), "--json")
	if err == nil && !strings.Contains(out, `"`+peer.String()+`"`) {
		err = fmt.Errorf("no %v among the peers of %s: %q", peer, infoHash, out)
	}
	return err
}

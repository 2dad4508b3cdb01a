package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
)

func TestRunServesUntilSIGTERM(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	p, s := startNode(t, "run", "--bootstrap", "none", "--data-dir", dir)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("serving after %v", took)
	}
	for path, want := range map[string]string{
		"/healthz": "ok",
		"/readyz":  "ok",
		"/metrics": "kadnode_build_info",
	} {
		if status, body := s.get(t, path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	kadnode(t, "ping", s.Listen[0]).expect(t, exitDone, s.ID[0])
	kadnode(t, "healthcheck", "--http", s.HTTP).expect(t, exitDone, "")

	p.signal(syscall.SIGTERM)
	if status := p.exits(2 * time.Second); status != exitDone {
		t.Errorf("status %d", status)
	}
	kadnode(t, "healthcheck", "--http", s.HTTP).expect(t, exitFailed, "refused")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v", info, err)
	}
	readState(t, dir)

	_, again := startNode(t, "--bootstrap", "none", "--data-dir", dir, "--listen", s.Listen[0])
	if again.ID[0] != s.ID[0] {
		t.Errorf("id %s after a restart, was %s", again.ID[0], s.ID[0])
	}
}

// readState returns the state in the data directory, of the one node it is for.
func readState(t *testing.T, dir string) kademlia.NodeState {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	states, err := kademlia.DecodeStates(b)
	if err != nil || len(states) != 1 {
		t.Fatalf("%d states: %v", len(states), err)
	}
	for _, s := range states {
		return s
	}
	panic("unreachable")
}

func TestServesWithoutANetwork(t *testing.T) {
	nobody := closedPort(t)
	p, s := startNode(t, "--bootstrap", nobody)
	if status, body := s.get(t, "/readyz"); status != 503 || !strings.Contains(body, "not joined") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, _ := s.get(t, "/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	kadnode(t, "ping", s.Listen[0]).expect(t, exitDone, s.ID[0])
	p.signal(syscall.SIGINT)
	if status := p.exits(2 * time.Second); status != exitDone {
		t.Errorf("status %d", status)
	}
}

// closedPort returns a loopback address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func TestStateOutlivesKill(t *testing.T) {
	bootstrap := startTestnet(t, "--nodes", "4")
	dir, listen := t.TempDir(), closedPort(t)
	var id string
	for round := range 20 {
		p, s := startNode(t, "--data-dir", dir, "--bootstrap", bootstrap, "--listen", listen, "--log-level", "debug")
		if id != "" && s.ID[0] != id {
			t.Fatalf("round %d: id %s, was %s", round, s.ID[0], id)
		}
		if round == 0 {
			await(t, "a state file", func() bool {
				_, err := os.Stat(filepath.Join(dir, stateFile))
				return err == nil
			})
		}
		if round%2 == 1 {
			p.line("joined the DHT") // now the state is being written
		}
		p.kill()
		readState(t, dir)
		id = s.ID[0]
	}
	if bad, _ := filepath.Glob(filepath.Join(dir, "*.bad")); len(bad) > 0 {
		t.Errorf("states were set aside: %q", bad)
	}
}

// await waits until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %s", what)
		}
	}
}

// An outage must not cost the contacts that were saved before it.
func TestContactsOutliveAnOutage(t *testing.T) {
	bootstrap := startTestnet(t, "--nodes", "12")
	dir, listen := t.TempDir(), closedPort(t)
	p, _ := startNode(t, "--data-dir", dir, "--bootstrap", bootstrap, "--listen", listen, "--log-level", "debug")
	p.line("joined the DHT")
	p.signal(syscall.SIGTERM)
	p.exits(2 * time.Second)
	before := len(readState(t, dir).Contacts)
	if before == 0 {
		t.Fatal("no contacts were saved")
	}
	blocked := filepath.Join(t.TempDir(), "all.txt")
	writeFile(t, blocked, "127.0.0.0/8\n")
	p, _ = startNode(t, "--data-dir", dir, "--bootstrap", bootstrap, "--listen", listen, "--blocklist", blocked)
	p.signal(syscall.SIGTERM)
	p.exits(2 * time.Second)
	if after := len(readState(t, dir).Contacts); after != before {
		t.Errorf("%d contacts after an outage, %d before", after, before)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPortsInUse(t *testing.T) {
	_, s := startNode(t, "--bootstrap", "none")
	kadnode(t, "run", "--bootstrap", "none", "--listen", s.Listen[0], "--http", "none").
		expect(t, exitFailed, "address already in use")
	kadnode(t, "run", "--bootstrap", "none", "--listen", "127.0.0.1:0", "--http", s.HTTP).
		expect(t, exitFailed, "address already in use")

	// Whoever has the default port: only who asks for it insists on it.
	if l, err := net.Listen("tcp", defaultHTTP); err == nil {
		defer l.Close()
	}
	p := start(t, "--bootstrap", "none", "--listen", "127.0.0.1:0")
	p.line("going on without metrics")
	p.line("serving")
}

func TestUnusableDataDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	kadnode(t, "--data-dir", file, "--listen", "127.0.0.1:0").expect(t, exitFailed, "data directory")
}

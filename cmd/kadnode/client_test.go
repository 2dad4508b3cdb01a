package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
)

const hash = "0123456789abcdef0123456789abcdef01234567"

func TestAnnounceAndGetPeers(t *testing.T) {
	bootstrap := startTestnet(t, "--nodes", "20")
	through := []string{"--bootstrap", bootstrap}

	kadnode(t, append([]string{"get-peers", hash}, through...)...).expect(t, exitFailed, "no peer found")
	kadnode(t, append([]string{"announce", hash, "--port", "4242"}, through...)...).
		expect(t, exitDone, "stored at 8 of 8 nodes")

	began := time.Now()
	magnet := "magnet:?dn=x&xt=urn:btih:" + strings.ToUpper(hash)
	kadnode(t, append([]string{"get-peers", magnet}, through...)...).expect(t, exitDone, "127.0.0.1:4242\n")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("get-peers took %v", took)
	}

	r := kadnode(t, append([]string{"get-peers", hash, "--json"}, through...)...)
	r.expect(t, exitDone, `{"peer":"127.0.0.1:4242"}`)
	r = kadnode(t, append([]string{"announce", hash, "--json", "--implied-port", "--seed", "--listen", closedPort(t)}, through...)...)
	r.expect(t, exitDone, `{"hash":"`+hash+`","stored":8,"asked":8}`)
}

func TestBootstrapFromTheEnvironmentByName(t *testing.T) {
	_, port, _ := strings.Cut(startTestnet(t, "--nodes", "10", "--json=false"), ":")
	t.Setenv("KADNODE_BOOTSTRAP", "localhost:"+port)
	t.Setenv("KADNODE_LISTEN", "192.0.2.1:1") // of the node that runs here, not of its clients
	r := kadnode(t, "find-node", hash, "--json")
	r.expect(t, exitDone, "")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 8 {
		t.Fatalf("%d nodes: %s", len(lines), r.stdout)
	}
	for _, l := range lines {
		var node struct {
			ID, Addr string
			Hops     int
		}
		if err := json.Unmarshal([]byte(l), &node); err != nil || len(node.ID) != 40 || node.Hops == 0 {
			t.Errorf("%s: %v", l, err)
		}
	}
}

// Kubernetes sets KADNODE_PORT for a service that is called kadnode.
func TestAnnounceBesideAServiceOfKubernetes(t *testing.T) {
	bootstrap := startTestnet(t, "--nodes", "4")
	t.Setenv("KADNODE_PORT", "tcp://10.0.0.1:6881")
	kadnode(t, "announce", hash, "--implied-port", "--listen", closedPort(t), "--bootstrap", bootstrap).expect(t, exitDone, "stored at 4")
	t.Setenv("KADNODE_PORT", "4242")
	kadnode(t, "announce", hash, "--bootstrap", bootstrap).expect(t, exitUsage, "--port is required")
}

func TestIPv6(t *testing.T) {
	if !hostHasIPv6() {
		if os.Getenv("CI") != "" {
			t.Fatal("no IPv6 here, and CI has to test it")
		}
		t.Skip("NOT TESTED: no IPv6 here")
	}
	bootstrap := startTestnet(t, "--nodes", "10", "--listen-ip", "::1")
	kadnode(t, "announce", hash, "--port", "4242", "--bootstrap", bootstrap).expect(t, exitDone, "stored at 8")
	kadnode(t, "get-peers", hash, "--bootstrap", bootstrap).expect(t, exitDone, "[::1]:4242\n")
}

func TestNobodyThere(t *testing.T) {
	nobody := closedPort(t)
	kadnode(t, "get-peers", hash, "--bootstrap", nobody, "--timeout", "200ms").
		expect(t, exitFailed, "kadnode: no bootstrap node answered")
	kadnode(t, "ping", nobody, "--timeout", "200ms").expect(t, exitFailed, "1 of 1 nodes did not answer")
	kadnode(t, "ping", nobody, "--timeout", "200ms", "--json").
		expect(t, exitFailed, `{"host":"`+nobody+`","error":"krpc: timeout"}`)
}

func TestTimeoutsAreToldInPlainWords(t *testing.T) {
	net := newSlowNetwork(t, store.Item{})
	key, _ := newKey(t)
	for _, args := range []string{"get " + hash, "put a", "put a --key " + key, "announce " + hash + " --port 1"} {
		r := net.run(t, append(strings.Fields(args), "--listen", "127.0.0.1:0", "--timeout", "300ms")...)
		r.expect(t, exitFailed, "kadnode: no answer within 300ms\n")
	}
	net.run(t, "scrape", hash, "--listen", "127.0.0.1:0", "--timeout", "300ms").expect(t, exitFailed, `err="no answer within 300ms"`)
}

func TestAwaitJoined(t *testing.T) {
	v4, v6 := new(kademlia.Node), new(kademlia.Node)
	failed := errors.New("no node answered")
	for name, tc := range map[string]struct {
		outcomes []outcome
		took     time.Duration
		err      error
	}{
		"one has joined, the other has tried": {[]outcome{{v6, failed}, {v4, nil}}, 0, nil},
		"one has joined, the other is slow":   {[]outcome{{v4, nil}}, joinGrace, nil},
		"a datagram was lost":                 {[]outcome{{v4, failed}, {v6, failed}, {v4, nil}}, 0, nil},
		"all have failed twice":               {[]outcome{{v4, failed}, {v6, failed}, {v6, failed}, {v4, failed}}, 0, errNotJoined},
		"one fails often, the other is slow":  {[]outcome{{v6, failed}, {v6, failed}, {v6, failed}}, time.Minute, errNotJoined},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				outcomes := make(chan outcome, 10)
				for _, o := range tc.outcomes {
					outcomes <- o
				}
				began := time.Now()
				if err := awaitJoined(ctx, 2, outcomes); err != tc.err || time.Since(began) != tc.took {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(began), tc.err, tc.took)
				}
			})
		})
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range []string{
		"nonsense",
		"run surplus",
		"--nonsense",
		"--k 33",
		"--alpha 0",
		"--listen 127.0.0.1",
		"--listen :70000",
		"--listen 224.0.0.1:1",
		"--listen 255.255.255.255:1",
		"--listen 0.0.0.1:1",
		"--bootstrap router",
		"--bootstrap none,127.0.0.1:1",
		"--http 9681",
		"--log-level loud",
		"--rate-limit -1",
		"--send-remotes 0.09",
		"--peers-bytes 1MB",
		"--config nosuch.toml",
		"ping",
		"ping 127.0.0.1",
		"ping 127.0.0.1:0",
		"find-node",
		"get-peers nosuchfile",
		"get-peers magnet:?dn=x",
		"get-peers magnet:?xs=urn:btpk:" + vectorKey,
		"get-peers " + hash + " --bootstrap none",
		"get-peers " + hash + " --timeout 0s",
		"announce " + hash,
		"announce " + hash + " --port 65536",
		"announce " + hash + " --implied-port",
		"announce " + hash + " --implied-port --port 1 --listen 127.0.0.1:1,127.0.0.1:0",
		"testnet --nodes 0",
		"testnet --listen-ip localhost",
		"completion bash surplus",
		"completion nosh",
	} {
		r := kadnode(t, strings.Fields(args)...)
		if r.status != exitUsage || !strings.HasPrefix(r.stderr, "kadnode: ") || r.stdout != "" {
			t.Errorf("%s: status %d, stderr %q, stdout %q", args, r.status, r.stderr, r.stdout)
		}
	}
}

// Only what cannot be a file is wrong usage.
func TestFilesThatAreNotThere(t *testing.T) {
	for _, name := range []string{"nosuch.torrent", "./nosuch", "client_test.go"} {
		kadnode(t, "get-peers", name).expect(t, exitFailed, strings.TrimPrefix(name, "./"))
	}
	kadnode(t, "get-peers", "nosuch").expect(t, exitUsage, "no info-hash")
}

func TestMagnetLinkOfAPublisher(t *testing.T) {
	kadnode(t, "get-peers", "magnet:?xs=urn:btpk:"+vectorKey).expect(t, exitUsage, `ask "kadnode get" first`)
}

func TestPingInJSON(t *testing.T) {
	at := startTestnet(t, "--nodes", "2")
	r := kadnode(t, "ping", at, "--json")
	var object struct {
		Host, Version string
		SeenAs        string `json:"seen_as"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil || object.Host != at ||
		object.Version != protocolVersion || !strings.HasPrefix(object.SeenAs, "127.0.0.1:") {
		t.Errorf("%s: %v", r.stdout, err)
	}
}

func TestVersion(t *testing.T) {
	kadnode(t, "version").expect(t, exitDone, "kadnode ")
	kadnode(t, "version", "--json").expect(t, exitDone, `"goversion":"go1.`)
}

func TestVersionsOfStrangersAreHarmless(t *testing.T) {
	if got := printable("LT\x01\x1b[2J\xff"); got != `LT\x01\x1b[2J\xff` {
		t.Errorf("%q", got)
	}
}

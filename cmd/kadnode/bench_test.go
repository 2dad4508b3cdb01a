package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/load"
)

// benchLine is what "bench --json" prints of a row.
type benchLine struct {
	benchObject
	Goodput float64 `json:"goodput_per_second"`
	Wanted  float64 `json:"wanted_per_second"`
}

// runBench runs "kadnode bench --json" and returns its lines.
func runBench(t *testing.T, args ...string) (lines []benchLine) {
	t.Helper()
	t.Setenv(asProgram, "1") // for the processes that it starts
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if status := execute(ctx, append([]string{"bench", "--json"}, args...), &stdout, &stderr); status != exitDone {
		t.Fatalf("status %d\nstdout: %s\nstderr: %s", status, &stdout, &stderr)
	}
	for d := json.NewDecoder(&stdout); d.More(); {
		var l benchLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// TestBenchComparesWithTheEcho measures every row with this program twice: as itself
// and as a rival.
func TestBenchComparesWithTheEcho(t *testing.T) {
	rival := fmt.Sprintf("twin=%s run --listen {listen} --bootstrap none --http none --rate-limit 0", os.Args[0])
	lines := runBench(t, "--duration", "50ms", "--rival", rival)
	rows := make(map[string]int)
	for _, l := range lines {
		rows[l.Node]++
		if l.Queries == "overload" {
			if l.Goodput == 0 || l.Wrong > 0 || l.Rate == 0 || l.Wanted < l.Rate {
				t.Errorf("%+v", l)
			}
			continue
		}
		if l.Replies == 0 || l.Errors+l.Wrong+l.Lost > 0 || l.ReplyBytes == 0 || l.P99 == 0 {
			t.Errorf("%+v", l)
		}
		if runtime.GOOS == "linux" && (l.CPU == 0 || l.Ratio == 0) {
			t.Errorf("processor time is not measured: %+v", l)
		}
	}
	if rows["echo"] != 7 || rows["kadnode"] != 8 || rows["twin"] != 8 {
		t.Errorf("rows %v", rows)
	}
}

func TestBenchOfARunningNode(t *testing.T) {
	p, node := startNode(t, "--bootstrap", "none", "--rate-limit", "0")
	pid := strconv.Itoa(p.cmd.Process.Pid)
	lines := runBench(t, node.Listen[0], "--duration", "50ms", "--pid", pid, "--mode", "paced", "--rate", "2000")
	if len(lines) != 6 {
		t.Errorf("rows %+v", lines)
	}
	for _, l := range lines {
		if l.Replies == 0 || l.Errors+l.Wrong+l.Lost > 0 || l.Replies > 100 || l.Ratio != 0 {
			t.Errorf("%+v", l)
		}
		if runtime.GOOS == "linux" && l.CPU == 0 {
			t.Errorf("processor time is not measured: %+v", l)
		}
	}
	if lines := runBench(t, node.Listen[0], "--duration", "50ms", "--kind", "get_peers", "--listen", "127.0.0.1:0"); len(lines) != 2 {
		t.Errorf("rows %+v", lines)
	}
}

func TestBenchForPeople(t *testing.T) {
	_, node := startNode(t, "--bootstrap", "none", "--rate-limit", "0")
	r := kadnode(t, "bench", node.Listen[0], "--duration", "50ms", "--kind", "ping")
	r.expect(t, exitDone, "has met")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "node ") || !strings.HasPrefix(lines[1], node.Listen[0]+" ping ") {
		t.Errorf("%q", lines)
	}
}

func TestBenchFails(t *testing.T) {
	t.Setenv(asProgram, "1")
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"--mode paced":                          {exitUsage, "--mode goes with HOST:PORT"},
		"127.0.0.1:1 --mode paced":              {exitUsage, "--mode paced and --rate go together"},
		"127.0.0.1:1 --rate 10":                 {exitUsage, "--mode paced and --rate go together"},
		"127.0.0.1:1 --duration 0s":             {exitUsage, "--duration"},
		"127.0.0.1:1 --listen nonsense":         {exitUsage, "--listen"},
		"127.0.0.1:1 --listen [::1]:0":          {exitUsage, "of the other family"},
		"[::1]:1 --listen 127.0.0.1:0":          {exitUsage, "of the other family"},
		"a:1 --mode paced --rate 0.1":           {exitUsage, "that is no query"},
		"127.0.0.1:1 --rival x={listen}":        {exitUsage, "--rival"},
		"--rival x=true":                        {exitUsage, "{listen}"},
		"a b":                                   {exitUsage, "at most 1 arg"},
		"nonsense":                              {exitUsage, "want HOST:PORT"},
		"127.0.0.1":                             {exitUsage, "want HOST:PORT"},
		":7881":                                 {exitUsage, "want HOST:PORT"},
		"127.0.0.1:99999":                       {exitUsage, "want HOST:PORT"},
		"127.0.0.1:1 --pid 0":                   {exitUsage, "want an integer from 1"},
		"127.0.0.1:1 --pid -4711":               {exitUsage, "want an integer from 1"},
		"--rival x={listen} --rival x={listen}": {exitUsage, "the name is taken"},
		"--rival kadnode={listen}":              {exitUsage, "the name is taken"},
		"--rival echo={listen}":                 {exitUsage, "the name is taken"},
	} {
		kadnode(t, append([]string{"bench"}, strings.Fields(args)...)...).expect(t, want.status, want.says)
	}
	if runtime.GOOS == "linux" {
		kadnode(t, "bench", "127.0.0.1:1", "--pid", strconv.Itoa(math.MaxInt32)).expect(t, exitUsage, "no such process")
	}
	kadnode(t, "bench", "--rival", "gone="+os.Args[0]+" version {listen}").expect(t, exitFailed, "gone: has ended: exit status 2")
}

// A program that ends while it is measured is not measured, however well it did before.
func TestBenchOfAProgramThatEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	t.Setenv(asProgram, "1")
	script := filepath.Join(t.TempDir(), "brief")
	writeFile(t, script, "echo $$ > "+script+".pid; exec \"$@\"\n")
	rival := fmt.Sprintf("brief=sh %s %s run --listen {listen} --bootstrap none --http none --rate-limit 0", script, os.Args[0])
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	measured := onWrite(func() { // the header
		pid, err := os.ReadFile(script + ".pid")
		if err != nil {
			t.Fatal(err)
		}
		exec.Command("kill", "-9", strings.TrimSpace(string(pid))).Run()
	})
	var stderr bytes.Buffer
	status := execute(ctx, []string{"bench", "--kind", "ping", "--duration", "1h", "--rival", rival}, measured, &stderr)
	result{status, "", stderr.String()}.expect(t, exitFailed, "has ended")
}

// onWrite is an output that is not kept.
type onWrite func()

func (f onWrite) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}

func TestBenchOfAProcessThatEnds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are known on Linux alone")
	}
	process := exec.Command("sleep", "60")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer process.Wait() // until then there is something of it
	defer process.Process.Kill()
	nobody := krpc.AppendNode(nil, krpc.NodeInfo{ID: krpc.ID{2}, Addr: netip.MustParseAddrPort("192.0.2.1:6881")})
	pings := 0
	node := newFakeNode(t, func(q, r *krpc.Message) {
		r.Token, r.Nodes = nil, nobody
		if q.Method != krpc.MethodPing {
			return
		}
		if pings++; pings == 100 {
			process.Process.Kill()
		}
	})
	args := []string{"bench", node, "--listen", "127.0.0.1:0", "--duration", "200ms", "--kind", "ping"}
	kadnode(t, append(args, "--pid", strconv.Itoa(process.Process.Pid))...).expect(t, exitFailed, "has ended")
}

func TestOverloadOfANodeThatAnswersNothing(t *testing.T) {
	var silent atomic.Bool
	node := newFakeNode(t, func(_, r *krpc.Message) {
		if silent.Load() {
			r.TID = make([]byte, 4) // that of no query: as good as no reply
		}
	})
	target := benchTarget{name: node, wait: patience}
	cfg := load.Config{Target: netip.MustParseAddrPort(node), Listen: netip.MustParseAddrPort("127.0.0.1:0"), Timeout: 10 * time.Millisecond}
	if err := target.open(t.Context(), cfg, io.Discard); err != nil {
		t.Fatal(err)
	}
	defer target.close()
	silent.Store(true)
	var stdout bytes.Buffer
	b := &bench{o: &benchOptions{inFlight: 8, duration: 50 * time.Millisecond}, out: output{&stdout, false}, stderr: io.Discard}
	if err := b.overload(t.Context(), &target); err != nil || b.failed == nil || stdout.Len() > 0 {
		t.Errorf("error %v, failed %v, printed %q", err, b.failed, &stdout)
	}
}

// "kadnode bench | head -1" leaves nothing behind.
func TestBenchThatIsReadNoMoreTidiesUp(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs pipes that break")
	}
	unread, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	unread.Close()
	defer stdout.Close()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "bench", "--kind", "ping", "--duration", "50ms")
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir)
	cmd.Stdout = stdout
	var failed *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &failed) || failed.ExitCode() != exitFailed {
		t.Errorf("ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestBenchOfNobody(t *testing.T) {
	silent := closedPort(t)
	target := benchTarget{name: silent, wait: 50 * time.Millisecond}
	cfg := load.Config{Target: netip.MustParseAddrPort(silent), Timeout: 10 * time.Millisecond}
	err := target.open(t.Context(), cfg, io.Discard)
	if want := silent + ": no answer within 50ms"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A node that limits what one address may ask is not what is measured, and the user has
// to know.
func TestBenchOfALimitedNode(t *testing.T) {
	var pings atomic.Uint32
	nobody := krpc.AppendNode(nil, krpc.NodeInfo{ID: krpc.ID{2}, Addr: netip.MustParseAddrPort("192.0.2.1:6881")})
	node := newFakeNode(t, func(q, r *krpc.Message) {
		r.Token, r.Nodes = nil, nobody
		if q.Method == krpc.MethodPing && pings.Add(1) > 100 {
			r.TID = make([]byte, 4) // that of no query: as good as no reply
		}
	})
	args := []string{"bench", node, "--listen", "127.0.0.1:0", "--duration", "50ms", "--kind", "ping", "--in-flight", "8"}
	const warning = "queries were lost: perhaps the node limits the queries of one address (kadnode: --rate-limit 0)"
	kadnode(t, args...).expect(t, exitDone, warning)
	pings.Store(0)
	kadnode(t, append(args, "--mode", "paced", "--rate", "10000")...).expect(t, exitDone, warning)
}

// TestServingOverSocketsAllocatesNothing is for the path from datagram to datagram with
// nothing left out. The generator, which allocates nothing either, is in this process.
func TestServingOverSocketsAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, err := newServer(kademlia.Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, RateLimit: -1, Version: protocolVersion,
	}, capacity{}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.start()
	target := benchTarget{name: "node", wait: patience}
	if err := target.open(t.Context(), load.Config{Target: s.dht.Nodes()[0].LocalAddr()}, io.Discard); err != nil {
		t.Fatal(err)
	}
	defer target.close()
	const requests = 10_000
	for k := range load.Kind(load.NumKinds) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := target.gen.Run(t.Context(), load.Options{Mix: load.Only(k), InFlight: 64, Requests: requests, Duration: patience})
		runtime.ReadMemStats(&after)
		if err != nil || r.Replies != requests {
			t.Fatalf("%v: %d of %d replies, %s, error %v", k, r.Replies, requests, r.Fault, err)
		}
		// Some are those of timers and of pings to our nodes.
		if n := after.Mallocs - before.Mallocs; n > requests/20 {
			t.Errorf("%v: %d allocations for %d replies", k, n, requests)
		}
	}
}

// A node that hands out no tokens can be asked some things only.
func TestBenchOfANodeThatStoresNothing(t *testing.T) {
	nobody := krpc.AppendNode(nil, krpc.NodeInfo{ID: krpc.ID{2}, Addr: netip.MustParseAddrPort("192.0.2.1:6881")})
	node := newFakeNode(t, func(_, r *krpc.Message) { r.Token, r.Nodes = nil, nobody })
	args := []string{"bench", node, "--listen", "127.0.0.1:0", "--duration", "50ms", "--json"}
	r := kadnode(t, args...)
	r.expect(t, exitDone, "is left out")
	if n := strings.Count(r.stdout, "\n"); n != 3 {
		t.Errorf("%d rows: %s", n, r.stdout)
	}
	kadnode(t, append(args, "--kind", "mix")...).expect(t, exitFailed, "there is nothing to measure (kadnode")
}

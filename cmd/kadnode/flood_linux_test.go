package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	floodFor  = flag.Duration("flood", 0, "how long each flood goes on while what clients get is held to its bounds; 0: a second, and that depends on what else the machine does")
	floodWith = flag.Int("flooders", 1, "how many processes flood the node at a time")
	floodNice = flag.Int("floodnice", 10, "by how much they are nicer than the node and its clients; below 10, what clients get is not held to its bounds")
)

const (
	// What they get: this share of right replies, 99 in 100 of them within this time.
	floodGoodShare = .99
	floodGoodTime  = 100 * time.Millisecond
	// floodMemory is what a node takes beside what it stores: 20 MiB of program with a full table,
	// limits of 3 MiB, and the kernel's share of a second.
	floodMemory = 64 << 20
	// What is stored costs half as much again, for garbage.
	floodGarbage = 1.5
)

// The environment of a process that floods a node: what with, and which.
const (
	floodKindEnv   = "TEST_FLOOD_WITH"
	floodTargetEnv = "TEST_FLOOD_TARGET"
	floodFirstEnv  = "TEST_FLOOD_FROM" // number of the first datagram
	floodNiceEnv   = "TEST_FLOOD_NICE"
)

// floods are what a hostile network sends. What takes no more than datagrams comes from 1 048 576
// addresses, as if its sources were forged; what takes a token, and so replies that arrive, from
// as many as somebody may really have.
var floods = map[string]func() flooder{
	"malformed packets":          func() flooder { return newJunk() },
	"queries of many sources":    func() flooder { return strangers{} },
	"announces of 1 000 000":     func() flooder { return announcers{} },
	"puts with a bad signature":  func() flooder { return forgers{sources: floodBotnet} },
	"puts of few, bad signature": func() flooder { return forgers{sources: 16} },
}

// A node with default flags serves well-behaved clients while it is flooded, those that it knows
// and strangers. Flood, node and clients share the cores of the machine: the flood has the lowest
// priority, as it would take no processor time of the node's if it came from elsewhere, but for the
// kernel's share.
//
// Without the flag -flood this holds whatever else the machine does: the node outlives the flood
// within its memory, serves after it, and has not amplified it.
func TestFloodsStarveNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("keeps all cores busy for some seconds")
	}
	for name := range floods {
		if raceEnabled && name != "queries of many sources" {
			continue // one is enough to see who writes what at the same time
		}
		t.Run(name, func(t *testing.T) {
			if lack := flood(t, name); len(lack) > 0 && *floodFor > 0 && *floodNice >= 10 {
				t.Error(strings.Join(lack, ", "))
			}
		})
	}
}

// flood floods a node, and returns what its clients lacked.
func flood(t *testing.T, name string) (lack []string) {
	t.Helper()
	p, s := startNode(t, "--bootstrap", "none")
	target := netip.MustParseAddrPort(s.Listen[0])
	known, strangers := newClients(t, target, 1, 64), newClients(t, target, 2, 32)
	known.prove(t)
	lasts, calm := max(time.Second, *floodFor), known.ask(t, 0, time.Second)
	stop := floodTogether(t, name, target)
	gotStrangers := strangers.ask(t, time.Second, lasts) // who is new in a flood loses his first query
	gotKnown := known.ask(t, 0, lasts)
	said := stop()
	t.Logf("the flood %s; of strangers the kernel refuses %.2f now, the node has answered %.0f briefly, and the kernel has dropped %d datagrams",
		said, s.metric(t, `kadnode_socket_refusing_ratio{family="ipv4"}`), s.metric(t, "kadnode_krpc_brief_replies_total"), kernelDrops(t, target))
	t.Logf("calm: %v; flooded: %v; strangers: %v", calm, gotKnown, gotStrangers)
	checkFloodMemory(t, p, s)
	checkFloodGain(t, s)
	newClients(t, target, 3, 16).prove(t)
	p.signal(syscall.SIGTERM)
	if status := p.exits(patience); status != exitDone {
		t.Errorf("ended with status %d", status)
	}
	return append(gotKnown.lack("known clients"), gotStrangers.lack("strangers")...)
}

// lack compares what clients have got with what they are to get.
func (s service) lack(who string) (lack []string) {
	if s.share() < floodGoodShare {
		lack = append(lack, fmt.Sprintf("%.2f%% of the queries of %s have a right reply", 100*s.share(), who))
	}
	if p99 := s.quantile(.99); p99 > floodGoodTime {
		lack = append(lack, fmt.Sprintf("the slowest of a hundred of %s took %v", who, p99))
	}
	return lack
}

// checkFloodGain compares what the node has sent with what was sent to it.
func checkFloodGain(t *testing.T, s serving) {
	t.Helper()
	in := s.metric(t, `kadnode_socket_bytes_total{direction="in",family="ipv4"}`)
	out := s.metric(t, `kadnode_socket_bytes_total{direction="out",family="ipv4"}`)
	t.Logf("%.0f MB have come, %.0f MB were sent", in/1e6, out/1e6)
	if out > gainStrained*in {
		t.Errorf("%.1f times as much was sent as came", out/in)
	}
}

// kernelDrops returns how many datagrams the kernel had no room for at the socket.
func kernelDrops(t *testing.T, at netip.AddrPort) int {
	t.Helper()
	drops, _ := strconv.Atoi(kernelSocket(t, at)[12])
	return drops
}

// kernelSocket returns what the kernel tells of the UDP socket, see proc_net_udp.txt.
func kernelSocket(t *testing.T, at netip.AddrPort) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 12 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", at.Port())) {
			return f
		}
	}
	t.Fatalf("no socket at %v", at)
	return nil
}

// checkFloodMemory compares what the node takes with what it stores.
func checkFloodMemory(t *testing.T, p *process, s serving) {
	t.Helper()
	stored := s.metric(t, `kadnode_store_bytes{store="peers"}`) + s.metric(t, `kadnode_store_bytes{store="items"}`)
	rss, _ := residentMemory(p.cmd.Process.Pid)
	budget := floodMemory + floodGarbage*stored
	t.Logf("%.0f MiB resident, %.0f stored, in swarms of %.0f", float64(rss)/(1<<20), stored/(1<<20), s.metric(t, "kadnode_swarms"))
	if float64(rss) > budget && !raceEnabled {
		t.Errorf("%.0f MiB resident, want at most %.0f", float64(rss)/(1<<20), budget/(1<<20))
	}
}

// floodTogether starts the processes that flood target, from different sources at any time. The
// function returned ends them and returns what they say.
func floodTogether(t *testing.T, kind string, target netip.AddrPort) (stop func() string) {
	t.Helper()
	var stops []func() string
	for i := range *floodWith {
		stops = append(stops, startFlood(t, kind, target, i*floodSources / *floodWith))
	}
	return func() string {
		var said []string
		for _, stop := range stops {
			said = append(said, stop())
		}
		return strings.Join(said, " and ")
	}
}

// startFlood starts a process that floods target. The function returned ends it and returns
// what it says.
func startFlood(t *testing.T, kind string, target netip.AddrPort, first int) (stop func() string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFloodProcess$", "-test.v")
	cmd.Env = append(os.Environ(), floodKindEnv+"="+kind, floodTargetEnv+"="+target.String(), floodFirstEnv+"="+strconv.Itoa(first),
		floodNiceEnv+"="+strconv.Itoa(*floodNice), "GOMAXPROCS=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return func() string {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("the flood: %v\n%s", err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if _, said, ok := strings.Cut(line, floodSays); ok {
				return strings.TrimSpace(said)
			}
		}
		return "said nothing"
	}
}

const floodSays = "FLOOD "

// lowerPriority does so for the goroutine that calls it: to Linux a priority is that of a thread.
func lowerPriority(t *testing.T, by int) {
	runtime.LockOSThread()
	have, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err == nil {
		err = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 20-have+by) // the system call returns 20 less it
	}
	if err != nil {
		t.Log(err)
	}
}

// TestFloodProcess is the process that floods.
func TestFloodProcess(t *testing.T) {
	kind, target := os.Getenv(floodKindEnv), os.Getenv(floodTargetEnv)
	if kind == "" {
		t.Skip("is a process of TestFloodsStarveNobody")
	}
	nice, _ := strconv.Atoi(os.Getenv(floodNiceEnv))
	lowerPriority(t, nice)
	ended := make(chan struct{})
	go func() { // standard input ends with whoever started us
		defer close(ended)
		os.Stdin.Read(make([]byte, 1))
	}()
	f, err := newFloodSocket(netip.MustParseAddrPort(target))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	began := time.Now()
	first, _ := strconv.Atoi(os.Getenv(floodFirstEnv))
	f.run(floods[kind](), uint32(first), ended)
	took := time.Since(began).Seconds()
	fmt.Println(floodSays + "has sent " + strconv.Itoa(int(float64(f.sent)/took)) + " datagrams a second, and got " + strconv.Itoa(f.got) + " replies")
}

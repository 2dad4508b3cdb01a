package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc/load"
)

// dynasty is a node and its successors, which are processes that the test has not started.
type dynasty struct {
	t   *testing.T
	dir string
	serving
	founder *process
	pid     int // who serves
}

// found starts a node that can hand over, with a data directory and args. All that come of it are
// killed when the test ends.
func found(t *testing.T, args ...string) *dynasty {
	t.Helper()
	adopt(t)
	d := &dynasty{t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		for _, pid := range processesOf(d.dir) {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
		}
	})
	d.founder, d.serving = startNode(t, append([]string{"--bootstrap", "none", "--data-dir", d.dir, "--rate-limit", "0"}, args...)...)
	d.pid = d.founder.cmd.Process.Pid
	return d
}

// adopt has whose parent ends be a child of this process, so that it can be waited for.
func adopt(t *testing.T) {
	t.Helper()
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER
	set := func(on uintptr) {
		if _, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, on, 0); err != 0 {
			t.Fatal(err)
		}
	}
	set(1)
	t.Cleanup(func() { set(0) })
}

// processesOf returns the processes that were started with the data directory dir.
func processesOf(dir string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func (d *dynasty) signal(s syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(d.pid, s); err != nil {
		d.t.Fatal(err)
	}
}

// handOver has who serves hand over, and waits until he has ended as he should.
func (d *dynasty) handOver() {
	d.t.Helper()
	d.signal(syscall.SIGUSR2)
	d.succeeded()
}

// succeeded waits until the next one serves and the one before has ended.
func (d *dynasty) succeeded() {
	d.t.Helper()
	var line struct{ PID int }
	if err := json.Unmarshal([]byte(d.founder.line("a successor serves")), &line); err != nil {
		d.t.Fatal(err)
	}
	if status := d.ends(); status != exitDone {
		d.t.Errorf("process %d ended with status %d", d.pid, status)
	}
	d.pid = line.PID
	d.next()
}

// next takes what the one who serves now says of himself.
func (d *dynasty) next() {
	d.t.Helper()
	var s serving
	if err := json.Unmarshal([]byte(d.founder.line(`"serving"`)), &s); err != nil {
		d.t.Fatal(err)
	}
	if fmt.Sprint(s) != fmt.Sprint(d.serving) {
		d.t.Errorf("serves %v, before %v", s, d.serving)
	}
}

// ends waits until who serves has ended, and returns his status.
func (d *dynasty) ends() int {
	d.t.Helper()
	if d.pid == d.founder.cmd.Process.Pid {
		return d.founder.exits(patience)
	}
	status := make(chan int, 1)
	go func() {
		var s syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(d.pid, &s, 0, nil); err != syscall.EINTR {
				break
			}
		}
		status <- s.ExitStatus() // -1: by a signal
	}()
	select {
	case s := <-status:
		return s
	case <-time.After(patience):
		d.t.Fatalf("process %d has not ended", d.pid)
		return 0
	}
}

// TestHandOversUnderLoad has a node and its successors hand over again and again, while they are
// asked as a busy node of the mainline DHT is, with the tokens that the first one gave. No query is
// lost, no reply is wrong, and nothing is forgotten.
func TestHandOversUnderLoad(t *testing.T) {
	times, rate := 10, 20_000.
	if raceEnabled {
		times, rate = 3, 2000
	}
	d := found(t)
	target := netip.MustParseAddrPort(d.Listen[0])
	w := newWitness(t, target, 1, 1)
	w.store(t, 500)
	under := underLoad(t, target, rate)
	for range times {
		time.Sleep(time.Second)
		d.handOver()
		if d.metric(t, "kadnode_journal_failing") != 0 {
			t.Error("the journal fails")
		}
		if _, lost := w.look(t, 0); len(lost) > 0 {
			t.Fatalf("%d lost: %s", len(lost), lost[0])
		}
		w.store(t, 20)
	}
	r := under()
	t.Logf("%d handovers, %d queries answered of %d, the slowest after %v, %d not sent",
		times, r.Replies, r.Sent, r.Latency.Quantile(1), r.Unsent)
	if r.Lost+r.Wrong+r.Errors > 0 || r.Replies == 0 {
		t.Errorf("%d without an answer, %d wrong, %d errors: %s", r.Lost, r.Wrong, r.Errors, r.Fault)
	}
}

// With several readers each has its queue in the kernel, and each queue its successor.
func TestHandOverOfSeveralReaders(t *testing.T) {
	d := found(t, "--readers", "2")
	w := newWitness(t, netip.MustParseAddrPort(d.Listen[0]), 1, 1)
	w.silence = 2 * patience // ask nothing twice: what is lost stays so
	enough, done := make(chan struct{}), make(chan error)
	go func() {
		done <- w.ask(func() *inquiry {
			if isClosed(enough) {
				return nil
			}
			return w.something()
		}, nil)
	}()
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		d.handOver()
	}
	close(enough)
	if err := errors.Join(<-done, w.err); err != nil {
		t.Error(err)
	}
	looked, lost := w.look(t, 0)
	t.Logf("%d looked for, %d lost", looked, len(lost))
	if len(lost) > 0 || looked == 0 {
		t.Errorf("%d of %d lost", len(lost), looked)
	}
}

// underLoad asks a node so many queries a second until the function returned is called.
func underLoad(t *testing.T, target netip.AddrPort, rate float64) (stop func() load.Result) {
	t.Helper()
	g, err := load.Open(load.Config{Target: target, Rand: rand.New(rand.NewPCG(1, 2)), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := g.Greet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := g.Prepare(t.Context()); err != nil || p.Peers == 0 {
		t.Fatalf("%d peers stored, error %v", p.Peers, err)
	}
	var all load.Result
	var failed error
	enough, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for !isClosed(enough) && failed == nil {
			var r load.Result
			r, failed = g.Run(t.Context(), load.Options{Mix: load.Mainline(), Rate: rate, Duration: 200 * time.Millisecond})
			all.Add(r)
		}
	}()
	return func() load.Result {
		t.Helper()
		close(enough)
		<-done
		if failed != nil {
			t.Fatal(failed)
		}
		return all
	}
}

// A successor that cannot start is no reason to stop.
func TestSuccessorCannotStart(t *testing.T) {
	config := filepath.Join(t.TempDir(), "kadnode.toml")
	writeFile(t, config, "rate-limit = 0\n")
	d := found(t, "--config", config)
	w := newWitness(t, netip.MustParseAddrPort(d.Listen[0]), 1, 1)
	w.store(t, 100)
	journal := filepath.Join(d.dir, journalDir)
	for name, broken := range map[string]struct{ do, undo func() }{
		"config": {
			func() { writeFile(t, config, "nonsense") },
			func() { writeFile(t, config, "") },
		},
		"data directory": { // one that root cannot read either
			func() { os.Rename(journal, journal+".away"); writeFile(t, journal, "") },
			func() { os.Remove(journal); os.Rename(journal+".away", journal) },
		},
	} {
		broken.do()
		d.signal(syscall.SIGUSR2)
		if l := d.founder.line("no successor; serving on"); !strings.Contains(l, `"ERROR"`) {
			t.Errorf("%s: %s", name, l)
		}
		w.store(t, 100)
		broken.undo()
		if pids := processesOf(d.dir); len(pids) != 1 {
			t.Errorf("%s: processes %v", name, pids)
		}
	}
	if n := d.founder.count(`"ERROR"`); n > 0 {
		t.Errorf("%d more errors", n)
	}
	d.handOver()
	if _, lost := w.look(t, 0); len(lost) > 0 {
		t.Errorf("%d lost: %s", len(lost), lost[0])
	}
}

// To ask twice for a successor is to get one, or another one after that.
func TestHandOverAskedForTwice(t *testing.T) {
	d := found(t)
	d.signal(syscall.SIGUSR2)
	d.signal(syscall.SIGUSR2)
	d.succeeded()
	kadnode(t, "ping", d.Listen[0]).expect(t, exitDone, d.ID[0])
	d.handOver()
	kadnode(t, "ping", d.Listen[0]).expect(t, exitDone, d.ID[0])
}

// Who is to end while he hands over ends, and so does his successor: the node was meant.
func TestEndedDuringAHandOver(t *testing.T) {
	config := filepath.Join(t.TempDir(), "kadnode.toml")
	writeFile(t, config, "rate-limit = 0\n")
	d := found(t, "--config", config)
	// What the successor is to read it waits for.
	os.Remove(config)
	if err := syscall.Mkfifo(config, 0o600); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGUSR2)
	await(t, "successor", func() bool { return len(processesOf(d.dir)) == 2 })
	d.signal(syscall.SIGTERM)
	if status := d.ends(); status != exitDone {
		t.Errorf("status %d", status)
	}
	d.leftNobody()
}

// A data directory is locked for both, so that nobody takes it in between, and a successor that
// is to have another one that is not free is none.
func TestHandOverKeepsTheLock(t *testing.T) {
	config := filepath.Join(t.TempDir(), "kadnode.toml")
	d := found(t)
	d.handOver()
	second := []string{"--bootstrap", "none", "--data-dir", d.dir, "--listen", "127.0.0.1:0", "--http", "none"}
	kadnode(t, second...).expect(t, exitFailed, "in use")

	taken := t.TempDir()
	startNode(t, "--bootstrap", "none", "--data-dir", taken)
	writeFile(t, config, "data-dir = "+strconv.Quote(t.TempDir())+"\n")
	p, node := startNode(t, "--bootstrap", "none", "--config", config)
	writeFile(t, config, "data-dir = "+strconv.Quote(taken)+"\n")
	p.signal(syscall.SIGUSR2)
	p.line("no successor")
	kadnode(t, "ping", node.Listen[0]).expect(t, exitDone, node.ID[0])
}

// Wherever in a handover that is asked, nobody is left who does not serve.
func TestEndedAnywhereInAHandOver(t *testing.T) {
	for _, after := range []time.Duration{0, 20, 40, 60, 80} {
		d := found(t)
		d.signal(syscall.SIGUSR2)
		time.Sleep(after * time.Millisecond)
		syscall.Kill(d.pid, syscall.SIGTERM) // it may have ended
		if status := d.ends(); status != exitDone {
			t.Errorf("%v: status %d", after, status)
		}
		await(t, "end of all, or successor", func() bool {
			return len(living(processesOf(d.dir))) == 0 || d.founder.count("a successor serves") > 0
		})
		if d.founder.count("a successor serves") == 0 {
			startNode(t, "--bootstrap", "none", "--data-dir", d.dir) // the lock is free
		}
	}
}

// leftNobody fails the test unless all processes have ended, and the data directory is free.
func (d *dynasty) leftNobody() {
	d.t.Helper()
	await(d.t, "end of all", func() bool { return len(living(processesOf(d.dir))) == 0 })
	startNode(d.t, "--bootstrap", "none", "--data-dir", d.dir) // the lock is free
}

// Whenever two processes are killed that hand over, one has what the other has acknowledged.
func TestKilledDuringAHandOver(t *testing.T) {
	for n := range time.Duration(8) {
		d := found(t, "--listen", closedPort(t))
		w := newWitness(t, netip.MustParseAddrPort(d.Listen[0]), 1, uint64(n))
		dead, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			w.work(dead)
		}()
		time.Sleep(20 * time.Millisecond)
		d.signal(syscall.SIGUSR2)
		time.Sleep(n * 15 * time.Millisecond)
		for len(living(processesOf(d.dir))) > 0 {
			for _, pid := range processesOf(d.dir) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		close(dead)
		<-done
		p, _ := startNode(t, "--bootstrap", "none", "--data-dir", d.dir, "--rate-limit", "0", "--listen", d.Listen[0])
		looked, lost := w.look(t, 0)
		if len(lost) > 0 || w.err != nil || looked == 0 {
			t.Errorf("%d of %d lost, error %v", len(lost), looked, w.err)
		}
		p.kill()
	}
}

// living returns those of the processes that have not ended, and takes note that the others have.
func living(pids []int) (alive []int) {
	for _, pid := range pids {
		if got, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); got != pid {
			alive = append(alive, pid)
		}
	}
	return alive
}

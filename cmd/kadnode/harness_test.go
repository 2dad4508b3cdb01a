package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that should come at once.
const patience = 10 * time.Second

// asProgram has the test binary be kadnode, so that tests can start and kill it.
const asProgram = "TEST_BINARY_IS_KADNODE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is the outcome of a command that ended.
type result struct {
	status         int
	stdout, stderr string
}

// kadnode runs a command in this process.
func kadnode(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := execute(ctx, args, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// expect fails the test if the command has not ended with the status, or has not
// said what it should, on either output.
func (r result) expect(t *testing.T, status int, says string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.stdout+r.stderr, says) {
		t.Fatalf("status %d, want %d and %q\nstdout: %s\nstderr: %s", r.status, status, says, r.stdout, r.stderr)
	}
}

// running is a command that runs in this process until it is stopped.
type running struct {
	t              *testing.T
	stdout, stderr lines
	cancel         context.CancelFunc
	ended          chan struct{} // closed when it has
	status         int           // once it has
}

// launch starts a command that has to end with status 0, when the test ends at the
// latest.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stdout: make(lines, 1024), stderr: make(lines, 1024), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.status = execute(ctx, args, r.stdout, r.stderr)
	}()
	t.Cleanup(r.stop)
	return r
}

// stop ends the command, as a signal would.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatal("still running")
	}
	if r.status != exitDone {
		r.t.Errorf("ended with status %d: %q", r.status, r.stderr.rest())
	}
}

// line waits for the next line on standard output.
func (r *running) line() string {
	r.t.Helper()
	return r.next(r.stdout)
}

func (r *running) next(of lines) string {
	r.t.Helper()
	select {
	case l := <-of:
		return l
	case <-r.ended:
		if len(of) > 0 {
			return <-of
		}
		r.t.Fatalf("ended with status %d: %q", r.status, r.stderr.rest())
	case <-time.After(patience):
		r.t.Fatalf("no line; errors: %q", r.stderr.rest())
	}
	panic("unreachable")
}

// lines is the lines of an output, each written as a whole. It never blocks: the first
// ones that have room are kept.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		trySend(l, strings.TrimSuffix(line, "\n"))
	}
	return len(b), nil
}

// rest takes all lines there are.
func (l lines) rest() (all []string) {
	for len(l) > 0 {
		all = append(all, <-l)
	}
	return all
}

// startTestnet starts "kadnode testnet" in this process and returns the address
// to join it through.
func startTestnet(t *testing.T, args ...string) (bootstrap string) {
	t.Helper()
	return launch(t, append([]string{"testnet"}, args...)...).line()
}

// process is a kadnode that runs as a process of its own.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []string      // of standard error
	news  chan struct{} // has a value when there is a new line
	ended chan struct{} // closed when the process is
}

// start starts "kadnode" with args.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], args...))
}

// startCommand starts a command that ends up as kadnode. Its standard error is also that of the
// successors it starts, which go on when it has ended.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, news: make(chan struct{}, 1), ended: make(chan struct{})}
	stderr, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Environ(), asProgram+"=1")
	cmd.Stderr = w
	endWithParent(cmd)
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer stderr.Close()
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
			trySend(p.news, struct{}{})
		}
	}()
	go func() {
		defer close(p.ended)
		cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// line waits for the first line on standard error, of those not taken yet, that
// contains text, and takes it.
func (p *process) line(text string) string {
	p.t.Helper()
	deadline := time.After(patience)
	var seen []string
	for {
		p.mu.Lock()
		for i, l := range p.lines {
			if strings.Contains(l, text) {
				p.lines = slices.Delete(p.lines, i, i+1)
				p.mu.Unlock()
				return l
			}
		}
		seen = slices.Clone(p.lines)
		p.mu.Unlock()
		select {
		case <-p.news:
		case <-deadline:
			p.t.Fatalf("no line with %q in %q", text, seen)
		}
	}
}

// count returns how many of the lines that were not taken yet contain text.
func (p *process) count(text string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// serving is what a node says once it serves.
type serving struct {
	Listen, ID []string
	HTTP       string
}

// startNode starts a node on a loopback address and waits until it serves. args
// may override that address.
func startNode(t *testing.T, args ...string) (*process, serving) {
	t.Helper()
	args = append([]string{"--log-format", "json", "--http", "127.0.0.1:0"}, args...)
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	p := start(t, args...)
	var s serving
	if err := json.Unmarshal([]byte(p.line(`"serving"`)), &s); err != nil {
		t.Fatal(err)
	}
	return p, s
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// exits waits for the end of the process and returns its status.
func (p *process) exits(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("still running after %v", within)
		return 0
	}
}

// get returns the status and the body of a page.
func (s serving) get(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get("http://" + s.HTTP + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metric returns the value of a metric, which is named as in the exposition.
func (s serving) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, page := s.get(t, "/metrics")
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

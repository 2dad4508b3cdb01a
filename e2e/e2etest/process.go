package e2etest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Process is a program that a test has started and that ends with it.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string // the file with what it prints
	done chan struct{}
	err  error // of Wait; readable once done is closed
}

// Start starts cmd. When t ends the process is killed; a data race that it has
// reported fails t, and if t has failed, the end of what it printed is shown
// under name.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{name: name, cmd: cmd, log: filepath.Join(t.TempDir(), "log"), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if strings.Contains(p.Log(), "WARNING: DATA RACE") {
			t.Errorf("%s has a data race:\n%s", name, p.Log())
		}
		if t.Failed() {
			t.Logf("--- %s (%v), the end of its output:\n%s", name, p.err, p.tail())
		}
	})
	return p
}

// Kill ends the process as kill -9 does, and returns when it is gone.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}

// Ended tells whether the process has ended, and how: exec's error, or nil for
// status 0.
func (p *Process) Ended() (bool, error) {
	select {
	case <-p.done:
		return true, p.err
	default:
		return false, nil
	}
}

// MustRun fails t if the process has ended.
func (p *Process) MustRun(t testing.TB) {
	t.Helper()
	if ended, err := p.Ended(); ended {
		t.Fatalf("%s has ended: %v", p.name, err)
	}
}

// Succeeded returns nil once the process has ended with status 0; it fails t if
// that was another status.
func (p *Process) Succeeded(t testing.TB) error {
	t.Helper()
	ended, err := p.Ended()
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	if !ended {
		return fmt.Errorf("%s still runs", p.name)
	}
	return nil
}

// Log returns what the process has printed until now.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *Process) tail() string {
	const lines = 40
	all := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Output runs cmd and returns what it prints on stdout; in an error, also what it
// prints on stderr.
func Output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// runUntil runs a command that gets a signal after a while, and has to end soon after it,
// or after its --timeout.
func runUntil(t *testing.T, signal time.Duration, stdout, stderr io.Writer, args ...string) (status int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer time.AfterFunc(signal, cancel).Stop()
	began := time.Now()
	status = execute(ctx, args, stdout, stderr)
	if took := time.Since(began); took > patience {
		t.Errorf("%q took %v", args, took)
	}
	return status
}

// Nobody reads standard output and, in the last round, standard error.
func TestOutputThatNobodyReads(t *testing.T) {
	net, _ := holding(t, 1)
	for _, args := range []string{"", "--timeout 500ms", "--timeout 500ms 2>&1"} {
		r, w := io.Pipe()
		t.Cleanup(func() { r.Close() })
		args, both := strings.CutSuffix(args, "2>&1")
		signal := time.Second
		if args != "" {
			signal = time.Hour
		}
		var said bytes.Buffer
		var stderr io.Writer = &said
		if both {
			stderr = w
		}
		status := runUntil(t, signal, w, stderr, net.args(append([]string{"sample", "--all", "--rate", "1000"}, strings.Fields(args)...)...)...)
		if status != exitFailed || !both && said.String() != "kadnode: standard output is not read\n" {
			t.Errorf("%q: status %d, %q", args, status, &said)
		}
	}
}

func TestInputThatNeverEnds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	stdin(t, r)
	var stderr bytes.Buffer
	status := runUntil(t, time.Hour, io.Discard, &stderr, "put", "--file", "-", "--timeout", "100ms")
	if status != exitFailed || stderr.String() != "kadnode: no end of the input within 100ms\n" {
		t.Errorf("--timeout: status %d, %q", status, &stderr)
	}
	stderr.Reset()
	status = runUntil(t, 100*time.Millisecond, io.Discard, &stderr, "put", "--file", "-", "--keep")
	if status != exitFailed || stderr.String() != "kadnode: interrupted\n" {
		t.Errorf("a signal: status %d, %q", status, &stderr)
	}
}

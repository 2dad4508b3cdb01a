// Package e2etest is what the end-to-end tests of all modules share: the kadnode
// binary, processes that end with the test and show their logs when it fails,
// networks of kadnodes, torrents, and waiting.
package e2etest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/netns"
)

// Main runs the tests of a package isolated from the host (netns.Isolate). It is
// for TestMain, and does not return.
func Main(m *testing.M) {
	if url := os.Getenv(fetchEnv); url != "" {
		os.Exit(fetch(url))
	}
	// What is tested is programs, of which the go command knows nothing: without a
	// log of what the test reads, it keeps no result for the next time.
	os.Args = slices.DeleteFunc(os.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "-test.testlogfile=")
	})
	if err := netns.Isolate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The tests wait far more than they compute. The command line goes before this.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Require skips a test that -short is to leave out or that the machine cannot run
// for want of a program. On CI (CI=true) such a test fails: there, a test that
// does not run is a fault.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			SkipOrFail(t, err)
		}
	}
}

// SkipOrFail skips the test for a reason, or fails it on CI.
func SkipOrFail(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CANNOT RUN, and must on CI: %v (see .ci/install)", reason)
	}
	t.Skipf("NOT RUN: %v (see .ci/install)", reason)
}

// fetchEnv holds a URL for a process of the test binary that fetch runs in.
const fetchEnv = "KADNODE_E2E_FETCH"

// Fetch reads a URL from inside a host, whose loopback cannot be reached from
// here: the test binary starts itself there.
func Fetch(ctx context.Context, h *netns.Host, url string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := h.Command(ctx, self)
	cmd.Env = append(os.Environ(), fetchEnv+"="+url)
	return Output(cmd)
}

// fetch prints what a URL holds, and returns the exit status.
func fetch(url string) int {
	body, err := Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Stdout.Write(body)
	return 0
}

// Get returns what an HTTP server answers; a status other than 200 is an error.
func Get(url string) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return body, nil
}

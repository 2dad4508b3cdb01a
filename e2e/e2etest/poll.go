package e2etest

import (
	"testing"
	"time"
)

// pollInterval is the time between two attempts of Eventually.
const pollInterval = 200 * time.Millisecond

// Eventually calls attempt until it returns nil. When that has not happened after
// d, the test fails with its last error.
func Eventually(t testing.TB, d time.Duration, what string, attempt func() error) {
	t.Helper()
	start := time.Now()
	for {
		err := attempt()
		if err == nil {
			t.Logf("%s: after %v", what, time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Since(start) > d {
			t.Fatalf("%s: not after %v: %v", what, d, err)
		}
		time.Sleep(pollInterval)
	}
}

package sim

import (
	"testing"
	"time"
)

// With sessions of an hour, lookups go on to end at the closest nodes there are.
func TestLookupsUnderChurn(t *testing.T) {
	w := build(t, Config{Nodes: 300})
	stop := w.Churn(time.Hour, nil)
	w.Clock.Run(time.Hour)
	if len(w.Hosts) != 300 {
		t.Fatalf("%d nodes, want 300 as before", len(w.Hosts))
	}
	measure(t, w, 300, .95)
	stop()
	w.Clock.Run(time.Hour)
	measure(t, w, 300, .98)
}

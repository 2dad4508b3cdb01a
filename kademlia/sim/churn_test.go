package sim

import (
	"testing"
	"time"
)

// With sessions of an hour, lookups go on to end at the closest nodes there are.
func TestLookupsUnderChurn(t *testing.T) {
	w := build(t, Config{Nodes: 300})
	nodes := len(w.Hosts)
	stop := w.Churn(time.Hour, nil)
	w.Clock.Run(time.Hour)
	if len(w.Hosts) != nodes {
		t.Fatalf("%d nodes, want %d as before", len(w.Hosts), nodes)
	}
	measure(t, w, 300, .95)
	stop()
	w.Clock.Run(time.Hour)
	measure(t, w, 300, .98)
}

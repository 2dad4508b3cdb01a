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

// Sessions as measured, whose nodes come back: about as many are up all the time as sessions
// and absences say, and lookups end at the closest of these.
func TestLookupsUnderMeasuredChurn(t *testing.T) {
	w := build(t, Config{Nodes: 300})
	stop := w.ChurnSessions(SessionChurn{
		Session: Weibull(time.Hour, .5), Absence: Exponential(2 * time.Hour), Fresh: .2,
	})
	w.Clock.Run(6 * time.Hour)
	r := measure(t, w, 300, .9)
	if len(w.Hosts) != 300 || r.Nodes < len(w.Hosts)*2/5 || r.Nodes > len(w.Hosts)*3/5 {
		t.Errorf("%d of %d nodes are up, want about half", r.Nodes, len(w.Hosts))
	}
	if w.revived == 0 {
		t.Error("nobody has come back")
	}
	stop()
	revived := w.revived
	w.Clock.Run(time.Hour)
	if measure(t, w, 300, .98); w.revived != revived {
		t.Error("it goes on after it was stopped")
	}
}

// Nodes that do not come back make place for others, but for those that stay.
func TestChurnOfNewNodes(t *testing.T) {
	w := build(t, Config{Nodes: 100})
	first := w.Hosts[0]
	w.ChurnSessions(SessionChurn{Session: Exponential(time.Hour), Stays: func(h *Host) bool { return h == first }})
	before, nodes := w.grown, len(w.Hosts)
	w.Clock.Run(3 * time.Hour)
	came := w.grown - before
	if len(w.Hosts) != nodes || came < 2*nodes || came > 4*nodes || first.Down {
		t.Errorf("%d nodes, want %d; %d have come; the one that stays is down: %t", len(w.Hosts), nodes, came, first.Down)
	}
}

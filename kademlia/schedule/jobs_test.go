package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// What was scheduled before a restart is run when it would have been, or at once if that is
// past.
func TestJobsComeBackAfterARestart(t *testing.T) {
	before := newRunner(t, nil)
	for range 200 {
		before.AddDone(krpc.RandomID(before.keys), "job")
	}
	before.Start()
	before.clock.Run(90 * time.Minute)
	after := newRunner(t, nil)
	after.clock.Run(100 * time.Minute)
	missed := 0
	for _, key := range before.Keys() {
		job, due, ok := before.Job(key)
		if !ok || after.AddAt(key, job, due) != nil {
			t.Fatal(ok)
		}
		if due.Before(after.clock.Now()) {
			missed++
		}
	}
	if missed < 20 || missed > 50 {
		t.Errorf("%d of 200 were missed in ten minutes", missed)
	}
	after.Start()
	after.clock.Run(0)
	if len(after.begun) != missed {
		t.Errorf("%d runs at once, want those %d that were missed", len(after.begun), missed)
	}
	if lag := after.Stats().Lag; lag != 0 {
		t.Errorf("a job is late by %v", lag)
	}
	after.clock.Run(64 * time.Minute)
	if n := len(after.begun) - missed; n < 200-missed {
		t.Errorf("%d runs of the other %d within an interval", n, 200-missed)
	}
}

// A job is never due later than the sweep comes round, whatever it was with another interval.
func TestJobsOfALongerIntervalAreSpread(t *testing.T) {
	r := newRunner(t, nil)
	for range 100 {
		r.AddAt(krpc.RandomID(r.keys), "job", start.Add(9*time.Hour))
	}
	var dues []time.Duration
	for _, key := range r.Keys() {
		_, due, _ := r.Job(key)
		dues = append(dues, due.Sub(start))
	}
	slices.Sort(dues)
	if dues[0] > 10*time.Minute || dues[99] > 64*time.Minute || dues[50] < 10*time.Minute || dues[50] > 50*time.Minute {
		t.Errorf("due in %v", dues)
	}
}

func TestJobsAndTheirKeys(t *testing.T) {
	r := newRunner(t, nil)
	if _, _, ok := r.Job(krpc.ID{1}); ok || len(r.Keys()) != 0 {
		t.Error("there is a job")
	}
	r.Add(krpc.ID{2}, "second")
	r.Add(krpc.ID{1}, "first")
	r.Start()
	r.clock.Run(time.Second)
	if job, due, ok := r.Job(krpc.ID{1}); job != "first" || !due.Equal(start) || !ok {
		t.Errorf("under way: %q, due at %v, %v", job, due, ok)
	}
	if keys := r.Keys(); !slices.Equal(keys, []krpc.ID{{1}, {2}}) {
		t.Errorf("keys %v", keys)
	}
}

package schedule

import (
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var seed = flag.Uint64("seed", 1, "seed of the schedules")

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// errOlder is the answer to a job that is less than the one that is there.
var errOlder = errors.New("older")

// runner has a Periodic whose runs take some time and then end.
type runner struct {
	*Periodic[string]
	t     testing.TB
	clock *simnet.Clock
	keys  *rand.Rand

	takes    time.Duration // a run, unless it is stopped
	frees    time.Duration // when it calls Free; 0: not before its end
	fails    bool
	drops    bool
	notReady bool
	onRun    func(*Turn[string]) // may be nil

	begun, ended, stopped []string  // jobs
	ran                   []krpc.ID // the keys of those begun
	at                    []time.Time
}

// newRunner returns a runner of an hourly schedule, which is not started.
func newRunner(t testing.TB, change func(*Config[string])) *runner {
	t.Helper()
	t.Logf("seed %d", *seed)
	r := &runner{t: t, clock: simnet.NewClock(start), keys: rand.New(rand.NewPCG(*seed, 1)), takes: 2 * time.Second}
	cfg := Config[string]{
		Clock: r.clock, Rand: rand.New(rand.NewPCG(*seed, 0)), Interval: time.Hour, Max: 10_000, Parallel: 100,
		Ready: func() bool { return !r.notReady },
		Run:   r.run,
		Replaces: func(job, old string) (bool, error) {
			if job < old {
				return false, errOlder
			}
			return job != old, nil
		},
		Log: slog.New(slog.DiscardHandler), Name: "runs",
	}
	if change != nil {
		change(&cfg)
	}
	r.Periodic = New(cfg)
	return r
}

// newStarted returns a runner that is started.
func newStarted(t testing.TB, change func(*Config[string])) *runner {
	t.Helper()
	r := newRunner(t, change)
	r.Start()
	return r
}

func (r *runner) run(turn *Turn[string]) (stop func()) {
	r.begun = append(r.begun, turn.Job)
	r.ran = append(r.ran, turn.Key)
	r.at = append(r.at, r.clock.Now())
	if r.onRun != nil {
		r.onRun(turn)
	}
	if r.frees > 0 {
		r.clock.AfterFunc(r.frees, turn.Free)
	}
	over := r.clock.AfterFunc(r.takes, func() {
		r.ended = append(r.ended, turn.Job)
		if r.drops {
			turn.Drop()
			return
		}
		turn.End(!r.fails)
	})
	return func() {
		if over.Stop() {
			r.stopped = append(r.stopped, turn.Job)
			turn.End(false)
		}
	}
}

func (r *runner) mustAdd(key krpc.ID, job string) {
	r.t.Helper()
	if err := r.Add(key, job); err != nil {
		r.t.Fatal(err)
	}
}

// addMany adds so many jobs, and returns their keys.
func (r *runner) addMany(n int) (keys []krpc.ID) {
	r.t.Helper()
	for range n {
		key := krpc.RandomID(r.keys)
		keys = append(keys, key)
		r.mustAdd(key, "a")
	}
	return keys
}

// begins returns how many runs begin in each of so many minutes.
func (r *runner) begins(minutes int) []int {
	counts := make([]int, minutes)
	for i := range counts {
		before := len(r.begun)
		r.clock.Run(time.Minute)
		counts[i] = len(r.begun) - before
	}
	return counts
}

// wantStats checks the gauges.
func (r *runner) wantStats(jobs, running, places int) {
	r.t.Helper()
	if s := r.Stats(); s.Jobs != jobs || s.Running != running || s.Places != places {
		r.t.Errorf("after %v: %+v, want %d jobs, %d running in %d places", r.clock.Now().Sub(start), s, jobs, running, places)
	}
}

package schedule

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var keyA, keyB = krpc.ID{0: 1}, krpc.ID{0: 2}

// TestJobsAreSpreadEvenly adds everything at once, which is the worst case.
func TestJobsAreSpreadEvenly(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(10_000)
	r.clock.Run(20 * time.Minute)
	if n := len(r.begun); n < 10_000 {
		t.Errorf("%d runs in the first minutes, want all", n)
	}
	counts := r.begins(300)
	sum, peak := 0, 0
	for _, c := range counts {
		sum, peak = sum+c, max(peak, c)
	}
	mean := float64(sum) / 300
	t.Logf("%.1f runs a minute, at most %d", mean, peak)
	if mean < .99*10_000/60 || mean > 1.01*10_000/60 {
		t.Errorf("%.1f runs a minute, want 10 000 an hour", mean)
	}
	if float64(peak) > 1.4*mean {
		t.Errorf("up to %d runs a minute, with a mean of %.1f", peak, mean)
	}
	if s := r.Stats(); s.Jobs != 10_000 || s.Max != 10_000 || s.Lag != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestNoTwoProgramsHaveTheSameSlots(t *testing.T) {
	second := map[time.Duration]bool{}
	for i := range 10 {
		r := newStarted(t, func(c *Config[string]) { c.Rand = rand.New(rand.NewPCG(*seed, uint64(i))) })
		r.mustAdd(keyA, "a")
		r.clock.Run(3 * time.Hour)
		second[r.at[1].Sub(start).Truncate(5*time.Minute)] = true
	}
	if len(second) < 4 {
		t.Errorf("the second runs began after %v", second)
	}
}

func TestAJobRunsOnceAnInterval(t *testing.T) {
	r := newStarted(t, nil)
	r.mustAdd(keyA, "a")
	r.clock.Run(100 * time.Hour)
	for i := 2; i < len(r.at); i++ { // the first wait is for the slot
		if wait := r.at[i].Sub(r.at[i-1]); wait < 55*time.Minute || wait > 65*time.Minute {
			t.Errorf("run %d began after %v", i+1, wait)
		}
	}
	if n := len(r.begun); n < 97 || n > 101 {
		t.Errorf("%d runs in 100 hours", n)
	}
	r.Remove(keyA)
	r.clock.Run(3 * time.Hour)
	r.wantStats(0, 0, 0)
	if r.clock.Pending() > 1 || len(r.begun) != len(r.ended) {
		t.Errorf("%d timers pending, %d runs begun, %d ended", r.clock.Pending(), len(r.begun), len(r.ended))
	}
}

// What has just been done is spread over the interval from the start.
func TestJobsThatAreDoneWaitForTheSweep(t *testing.T) {
	r := newStarted(t, nil)
	for range 6000 {
		if err := r.AddDone(krpc.RandomID(r.keys), "a"); err != nil {
			t.Fatal(err)
		}
	}
	for minute, n := range r.begins(180) {
		// In the first minutes each is a little late, and in the first hour none is early.
		if n > 160 || minute >= 4 && n < 50 {
			t.Errorf("%d runs in minute %d, want about 100", n, minute)
		}
	}
	if n := len(r.begun); n < 17_000 || n > 18_000 {
		t.Errorf("%d runs in 3 hours, want 6 000 an hour", n)
	}
	r = newStarted(t, nil)
	r.mustAdd(keyA, "b")
	if err := r.AddDone(keyA, "a"); err != errOlder {
		t.Errorf("an older job: %v", err)
	}
}

func TestNothingRunsBeforeStart(t *testing.T) {
	r := newRunner(t, nil)
	r.mustAdd(keyA, "a")
	r.clock.Run(time.Minute)
	r.wantStats(1, 0, 0)
	r.Start()
	r.Start()
	r.clock.Run(time.Second)
	r.wantStats(1, 1, 1)
}

func TestNothingRunsUntilReady(t *testing.T) {
	r := newStarted(t, nil)
	r.notReady = true
	r.mustAdd(keyA, "a")
	r.clock.Run(10 * time.Minute)
	if s := r.Stats(); len(r.begun) != 0 || s.Lag != 10*time.Minute {
		t.Errorf("ran %v, stats %+v", r.begun, s)
	}
	r.notReady = false
	r.clock.Run(readyPoll)
	r.wantStats(1, 1, 1)
}

func TestRunsAtATimeAreBounded(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(250)
	r.clock.Run(time.Second)
	r.wantStats(250, 100, 100)
	if s := r.Stats(); s.Lag != time.Second {
		t.Errorf("lag %v", s.Lag)
	}
	r.clock.Run(2 * time.Second)
	r.wantStats(250, 100, 100)
	r.clock.Run(4 * time.Second)
	r.wantStats(250, 0, 0)
}

func TestRunsThatAreFreedHoldUpNoOther(t *testing.T) {
	r := newStarted(t, nil)
	r.takes, r.frees = 10*time.Second, time.Second
	r.addMany(250)
	r.clock.Run(2500 * time.Millisecond)
	r.wantStats(250, 250, 50)
	r.clock.Run(time.Second)
	r.wantStats(250, 250, 0)
	r.clock.Run(9 * time.Second)
	r.wantStats(250, 0, 0)
}

func TestFailedRunsAreRepeatedSooner(t *testing.T) {
	r := newStarted(t, nil)
	r.fails, r.takes = true, 0
	r.mustAdd(keyA, "a")
	r.clock.Run(8 * time.Hour)
	for i, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		wait, want := r.at[i+1].Sub(r.at[i]), minutes*time.Minute
		if wait < want*3/4 || wait > want*5/4 {
			t.Errorf("try %d came after %v, want about %v", i+2, wait, want)
		}
	}
	r.fails = false
	r.clock.Run(2 * time.Hour)
	if counts := r.begins(600); slices.Max(counts) > 1 {
		t.Errorf("began %v a minute, want one an hour", counts)
	}
	r.fails = true
	failed := len(r.begun)
	r.clock.Run(70 * time.Minute)
	if wait := r.at[failed+1].Sub(r.at[failed]); wait > 75*time.Second {
		t.Errorf("the first repetition came after %v, want a minute again", wait)
	}
}

func TestTooManyJobsAreRefused(t *testing.T) {
	r := newStarted(t, func(c *Config[string]) { c.Max = 1 })
	r.mustAdd(keyA, "a")
	if err := r.Add(keyB, "a"); err != ErrTooMany {
		t.Errorf("the second: %v, want ErrTooMany", err)
	}
	r.mustAdd(keyA, "b")
	r.Remove(keyA)
	r.Remove(keyA)
	r.mustAdd(keyB, "a")
	r.wantStats(1, 0, 0)
}

func TestAJobTakesThePlaceOfAnother(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, time.Minute} {
		r := newStarted(t, nil)
		r.mustAdd(keyA, "b")
		if after > 0 {
			r.clock.Run(after)
		}
		r.mustAdd(keyA, "b")
		if err := r.Add(keyA, "a"); err != errOlder {
			t.Errorf("an older job: %v", err)
		}
		r.mustAdd(keyA, "c")
		r.clock.Run(30 * time.Second)
		var begun, stopped []string
		switch after {
		case 0:
			begun = []string{"c"}
		case time.Second:
			begun, stopped = []string{"b", "c"}, []string{"b"}
		default:
			begun = []string{"b", "c"}
		}
		if !slices.Equal(r.begun, begun) || !slices.Equal(r.stopped, stopped) {
			t.Errorf("after %v: began %v, stopped %v", after, r.begun, r.stopped)
		}
		r.wantStats(1, 0, 0)
	}
}

func TestDropRemovesTheJob(t *testing.T) {
	r := newStarted(t, nil)
	r.drops = true
	r.mustAdd(keyA, "a")
	r.clock.Run(10 * time.Hour)
	r.wantStats(0, 0, 0)
	if len(r.begun) != 1 {
		t.Errorf("%d runs", len(r.begun))
	}
}

// A run that was replaced while it was under way has no say over what replaced it.
func TestDropByAnOldRunIsIgnored(t *testing.T) {
	dropped := false
	r := newRunner(t, func(c *Config[string]) {
		c.Run = func(turn *Turn[string]) func() { return func() { dropped = turn.Drop() } }
	})
	r.Start()
	r.mustAdd(keyA, "a")
	r.clock.Run(time.Second)
	r.mustAdd(keyA, "b")
	r.clock.Run(time.Second)
	r.wantStats(1, 1, 1)
	if dropped {
		t.Error("the old run has dropped the new job")
	}
}

func TestRemoveStopsTheRunUnderWay(t *testing.T) {
	r := newStarted(t, nil)
	r.mustAdd(keyA, "a")
	r.clock.Run(time.Second)
	r.Remove(keyA)
	r.wantStats(0, 0, 0)
	r.clock.Run(3 * time.Hour)
	if len(r.begun) != 1 || len(r.stopped) != 1 || len(r.ended) != 0 {
		t.Errorf("began %v, stopped %v, ended %v", r.begun, r.stopped, r.ended)
	}
}

// A job may remove itself or others while its run begins, as a callback might.
func TestRemoveWhileARunBegins(t *testing.T) {
	r := newStarted(t, nil)
	r.mustAdd(keyA, "a")
	r.mustAdd(keyB, "b")
	r.onRun = func(*Turn[string]) {
		r.Remove(keyA)
		r.Remove(keyB)
	}
	r.clock.Run(time.Hour)
	r.wantStats(0, 0, 0)
	if len(r.begun) != 1 || len(r.stopped) != 1 {
		t.Errorf("began %v, stopped %v: want one, and the other not begun", r.begun, r.stopped)
	}
}

func TestCloseDuringRuns(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(250)
	r.clock.Run(time.Second)
	r.Close()
	r.Close()
	if len(r.stopped) != 100 {
		t.Errorf("%d runs stopped, want 100", len(r.stopped))
	}
	r.wantStats(250, 0, 0)
	if err := r.Add(keyA, "a"); err != ErrClosed {
		t.Errorf("adds after Close: %v", err)
	}
	r.Start()
	r.clock.Run(3 * time.Hour)
	if len(r.begun) != 100 || r.clock.Pending() > 0 {
		t.Errorf("%d runs begun, %d timers pending", len(r.begun), r.clock.Pending())
	}
}

func TestCloseWhileARunBegins(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(50)
	r.onRun = func(*Turn[string]) { r.Close() }
	r.clock.Run(time.Hour)
	r.wantStats(50, 0, 0)
	if len(r.begun) != 1 || len(r.stopped) != 1 {
		t.Errorf("%d runs begun, %d stopped", len(r.begun), len(r.stopped))
	}
}

func TestLateRunsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	r := newRunner(t, func(c *Config[string]) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, c := range []struct {
		minutes time.Duration
		says    string // nothing if empty
	}{
		{1, ""}, {61, "runs are late"}, {80, ""}, {50, ""}, {61, ""}, {1, "runs are on time again"}, {50, ""}, {61, "runs are late"},
	} {
		log.Reset()
		r.report(c.minutes * time.Minute)
		if got := log.String(); !strings.Contains(got, c.says) || c.says == "" && got != "" {
			t.Errorf("lag of %d minutes: logged %q, want %q", c.minutes, got, c.says)
		}
	}
}

func TestSchedulesRepeatThemselves(t *testing.T) {
	run := func() []time.Time {
		r := newStarted(t, nil)
		r.addMany(500)
		r.clock.Run(5 * time.Hour)
		return r.at
	}
	if a, b := run(), run(); !slices.Equal(a, b) {
		t.Error("two runs of one seed differ")
	}
}

func TestManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[int]{
			Clock: krpc.SystemClock{}, Rand: rand.New(rand.NewPCG(*seed, 0)), Interval: time.Minute, Max: 100, Parallel: 10,
			Ready:    func() bool { return true },
			Replaces: func(job, old int) (bool, error) { return job != old, nil },
			Run: func(turn *Turn[int]) (stop func()) {
				over := time.AfterFunc(time.Second, func() { turn.End(turn.Key[0]%4 > 0) })
				return func() {
					if over.Stop() {
						turn.Drop()
					}
				}
			},
			Log: slog.New(slog.DiscardHandler), Name: "runs",
		})
		p.Start()
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 300 {
					key := krpc.ID{0: byte(i % 50)}
					if err := p.Add(key, g); err != nil {
						t.Error(err)
					}
					if i%3 == 0 {
						p.Remove(key)
					}
					p.Stats()
					time.Sleep(time.Duration(i%7) * 100 * time.Millisecond)
				}
			})
		}
		all.Wait()
		p.Close()
		time.Sleep(time.Minute)
		if s := p.Stats(); s.Running != 0 || s.Places != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

package schedule

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// place is a key's place in the keyspace, from 0 to 1.
func place(key krpc.ID) float64 { return float64(binary.BigEndian.Uint64(key[:])) / (1 << 64) }

// steps returns how far it is on average from each key to the next one, going forward
// through the keyspace and round.
func steps(keys []krpc.ID) float64 {
	sum := 0.
	for i := 1; i < len(keys); i++ {
		step := place(keys[i]) - place(keys[i-1])
		if step < -.5 {
			step++
		}
		sum += max(step, -step)
	}
	return sum / float64(len(keys)-1)
}

// wantSweep checks that the runs from the given one on went once through the keyspace,
// each key within a few jitters of where the sweep was.
func (r *runner) wantSweep(from, n int) {
	r.t.Helper()
	ran := r.ran[from : from+n]
	first, strays := place(ran[0]), 0
	for i, key := range ran {
		want := first + float64(i)/float64(n)
		off := place(key) - want
		off -= float64(int(off+2.5) - 2) // to the nearest way round
		if off > 2./slotJitter || off < -2./slotJitter {
			strays++
		}
	}
	if strays > n/100 {
		r.t.Errorf("%d of %d runs are far from where a sweep would be", strays, n)
	}
	if s := steps(ran); s > 1./slotJitter {
		r.t.Errorf("from one run to the next the sweep goes %.3f of the keyspace on average", s)
	}
}

func TestAnIntervalIsASweepOfTheKeyspace(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(5000)
	r.clock.Run(3 * time.Hour)
	r.wantSweep(len(r.ran)-5000, 5000)
}

func TestJobsThatAreDueTogetherAreRunInASweep(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(5000)
	r.clock.Run(3 * time.Minute)
	if len(r.ran) < 5000 {
		t.Fatalf("%d runs", len(r.ran))
	}
	r.wantSweep(0, 5000)
}

func TestABacklogIsRunInASweep(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(5000)
	r.clock.Run(2 * time.Hour)
	r.notReady = true
	r.clock.Run(3 * time.Hour)
	r.notReady = false
	before := len(r.ran)
	r.clock.Run(3 * time.Minute)
	if n := len(r.ran) - before; n < 5000 {
		t.Fatalf("%d runs after the outage", n)
	}
	r.wantSweep(before, 5000)
}

// What was late is not run again at its slot when that comes a moment later, but soon
// enough.
func TestAnOutageIsFollowedByOneRun(t *testing.T) {
	r := newStarted(t, nil)
	r.addMany(3000)
	r.clock.Run(2 * time.Hour)
	r.notReady = true
	r.clock.Run(2 * time.Hour)
	r.notReady = false
	from := len(r.ran)
	r.clock.Run(2 * time.Hour)
	last := map[krpc.ID]time.Time{}
	for i, key := range r.ran[from:] {
		at := r.at[from+i]
		if before, again := last[key]; again {
			if wait := at.Sub(before); wait < time.Hour/slotSkip || wait > time.Hour+time.Hour/slotSkip+time.Hour/slotJitter {
				t.Errorf("a job was run again after %v", wait)
			}
		}
		last[key] = at
	}
}

// With more than can be run in an interval, each job gets its turn as often as any other.
func TestNoJobStarves(t *testing.T) {
	r := newStarted(t, func(c *Config[string]) { c.Parallel = 1 })
	r.takes = 4 * time.Second // 900 an hour
	keys := r.addMany(2000)
	r.clock.Run(20 * time.Hour)
	runs := map[krpc.ID]int{}
	for _, key := range r.ran {
		runs[key]++
	}
	for _, key := range keys {
		if n := runs[key]; n < 8 || n > 10 {
			t.Errorf("a job was run %d times, want 9", n)
		}
	}
	if s := r.Stats(); s.Lag < time.Hour || s.Lag > 5*time.Hour/2 || s.Round < 2*time.Hour || s.Round > 3*time.Hour {
		t.Errorf("stats %+v", s)
	}
}

// Keys that are no hashes are due at once, and late by what it takes to run them.
func TestKeysInOneCornerOfTheKeyspace(t *testing.T) {
	r := newStarted(t, nil)
	for i := range 5000 {
		key := krpc.ID{}
		binary.BigEndian.PutUint32(key[4:], uint32(i))
		r.mustAdd(key, "a")
	}
	r.clock.Run(10 * time.Hour)
	runs := map[krpc.ID]int{}
	for _, key := range r.ran {
		runs[key]++
	}
	for key, n := range runs {
		if n < 9 || n > 11 {
			t.Errorf("%v was run %d times in 10 hours", key, n)
		}
	}
	if len(runs) != 5000 {
		t.Errorf("%d of 5000 jobs were run", len(runs))
	}
}

func TestRoundIsTheTimeBetweenTwoRunsOfAJob(t *testing.T) {
	r := newStarted(t, nil)
	r.mustAdd(keyA, "a")
	r.clock.Run(time.Minute)
	if s := r.Stats(); s.Round != 0 {
		t.Errorf("after the first run: %+v", s)
	}
	r.clock.Run(5 * time.Hour)
	n := len(r.at)
	if s, want := r.Stats(), r.at[n-1].Sub(r.at[n-2]); s.Round != want {
		t.Errorf("round %v, want %v", s.Round, want)
	}
}

// The wait for a job's first slot is no round, and neither is an outage.
func TestRoundsAreMeasuredFromSlotToSlot(t *testing.T) {
	r := newStarted(t, nil)
	check := func(what string) {
		t.Helper()
		if round := r.Stats().Round; round != 0 && (round < 55*time.Minute || round > 65*time.Minute) {
			t.Fatalf("%s: a round of %v", what, round)
		}
	}
	hour := func(what string) {
		for range 60 {
			r.clock.Run(time.Minute)
			check(what)
		}
	}
	for range 5 {
		r.Remove(keyA)
		r.mustAdd(keyA, "a")
		hour("tracked afresh")
	}
	hour("a second round")
	hour("a third round")
	if r.Stats().Round == 0 {
		t.Error("none is measured")
	}
	r.fails = true
	for range 6 {
		hour("in an outage")
	}
	r.fails = false
	for range 3 {
		hour("after it")
	}
}

func TestRemoveFromABacklog(t *testing.T) {
	r := newStarted(t, func(c *Config[string]) { c.Parallel = 1 })
	keys := r.addMany(500)
	r.clock.Run(time.Minute)
	for _, key := range keys {
		r.Remove(key)
	}
	r.wantStats(0, 0, 0)
	if s := r.Stats(); s.Lag != 0 {
		t.Errorf("stats %+v", s)
	}
	slices.Sort(r.stopped)
	r.clock.Run(3 * time.Hour)
	if len(r.ran) > 31 {
		t.Errorf("%d runs", len(r.ran))
	}
}

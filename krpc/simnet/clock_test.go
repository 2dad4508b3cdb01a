package simnet

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var epoch = time.Unix(1_800_000_000, 0).UTC()

func TestEventsRunInOrderAtTheirTime(t *testing.T) {
	c := NewClock(epoch)
	type call struct {
		name string
		at   time.Duration
	}
	var got []call
	at := func(d time.Duration, name string) {
		c.AfterFunc(d, func() { got = append(got, call{name, c.Now().Sub(epoch)}) })
	}
	at(3*time.Second, "late")
	at(time.Second, "first of two")
	at(time.Second, "second of two")
	at(0, "now")
	at(-time.Hour, "overdue")
	if len(got) != 0 {
		t.Fatal("an event ran inside AfterFunc")
	}
	c.Run(3 * time.Second)
	want := []call{
		{"now", 0}, {"overdue", 0},
		{"first of two", time.Second}, {"second of two", time.Second},
		{"late", 3 * time.Second}, // the end belongs to the run
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEventsScheduleEvents(t *testing.T) {
	c := NewClock(epoch)
	ticks := 0
	var tick func()
	tick = func() {
		ticks++
		c.AfterFunc(time.Second, tick)
	}
	c.AfterFunc(time.Second, tick)
	c.Run(10500 * time.Millisecond)
	if ticks != 10 {
		t.Errorf("%d ticks in 10.5 s, want 10", ticks)
	}
	if got := c.Now().Sub(epoch); got != 10500*time.Millisecond {
		t.Errorf("clock stands at %v", got)
	}
	if c.Pending() != 1 {
		t.Errorf("%d events pending, want the next tick", c.Pending())
	}
}

func TestStep(t *testing.T) {
	c := NewClock(epoch)
	c.AfterFunc(time.Minute, func() {})
	if !c.Step() || c.Now() != epoch.Add(time.Minute) {
		t.Errorf("step led to %v", c.Now())
	}
	if c.Step() {
		t.Error("step without events")
	}
}

func TestRunUntil(t *testing.T) {
	c := NewClock(epoch)
	n := 0
	for i := range 10 {
		c.AfterFunc(time.Duration(i+1)*time.Second, func() { n++ })
	}
	if !c.RunUntil(func() bool { return n == 4 }, time.Minute) || c.Now() != epoch.Add(4*time.Second) {
		t.Errorf("after %d events at %v, want the 4th at 4 s", n, c.Now())
	}
	if !c.RunUntil(func() bool { return n == 4 }, 0) {
		t.Error("a condition that holds was not seen")
	}
	if c.RunUntil(func() bool { return n == 10 }, 2*time.Second) || n != 6 || c.Now() != epoch.Add(6*time.Second) {
		t.Errorf("gave up after %d events at %v, want the 6th at 6 s", n, c.Now())
	}
	if c.RunUntil(func() bool { return false }, time.Minute) || c.Now() != epoch.Add(66*time.Second) {
		t.Errorf("ran out of events at %v, want 66 s", c.Now())
	}
}

// timers of the clock and of package time differ in nothing but whose time it is.
func TestStopAndReset(t *testing.T) {
	c := NewClock(epoch)
	n := 0
	timer := c.AfterFunc(time.Second, func() { n++ })
	if !timer.Stop() || timer.Stop() {
		t.Error("Stop: want true, then false")
	}
	c.Run(time.Minute)
	if n != 0 {
		t.Error("a stopped timer fired")
	}
	if timer.Reset(time.Second) {
		t.Error("Reset of a stopped timer: want false")
	}
	if !timer.Reset(3 * time.Second) {
		t.Error("Reset of a pending timer: want true")
	}
	c.Run(2 * time.Second)
	if n != 0 {
		t.Error("fired at the time before the reset")
	}
	c.Run(time.Second)
	if n != 1 || timer.Stop() {
		t.Errorf("fired %d times, want once and no longer pending", n)
	}
	timer.Reset(0)
	c.Run(0)
	if n != 2 {
		t.Error("a fired timer cannot be reset")
	}
}

func TestTimerIsNotPendingWhileItRuns(t *testing.T) {
	c := NewClock(epoch)
	n := 0
	var timer krpc.Timer
	timer = c.AfterFunc(time.Second, func() {
		if n++; timer.Stop() {
			t.Error("Stop: the running timer was pending")
		}
		if timer.Reset(time.Second) {
			t.Error("Reset: the running timer was pending")
		}
	})
	c.Run(5 * time.Second)
	if n != 5 {
		t.Errorf("rearmed itself %d times, want 5", n)
	}
}

func TestResetGoesBehindEventsOfTheSameInstant(t *testing.T) {
	c := NewClock(epoch)
	var got []int
	first := c.AfterFunc(time.Second, func() { got = append(got, 1) })
	c.AfterFunc(time.Second, func() { got = append(got, 2) })
	first.Reset(time.Second)
	c.Run(time.Second)
	if !slices.Equal(got, []int{2, 1}) {
		t.Errorf("order %v, want 2 1", got)
	}
}

func TestStoppedTimersDoNotPileUp(t *testing.T) {
	c := NewClock(epoch)
	for range 100_000 {
		c.AfterFunc(time.Hour, func() { t.Error("fired") }).Stop()
	}
	if c.Pending() != 0 {
		t.Errorf("%d events pending, want 0", c.Pending())
	}
}

func TestFarFutureDoesNotOverflow(t *testing.T) {
	c := NewClock(epoch)
	c.Run(time.Hour)
	c.AfterFunc(math.MaxInt64, func() { t.Error("the end of time came") })
	c.Run(24 * time.Hour)
	if c.Pending() != 1 {
		t.Error("the event of the far future is gone")
	}
}

func TestRunningAClockFromAnEventPanics(t *testing.T) {
	c := NewClock(epoch)
	c.AfterFunc(0, func() { c.Step() })
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	c.Run(0)
}

// TestQueueAgainstModel schedules, moves and cancels at random and compares the
// order of what runs with that of a stable sort.
func TestQueueAgainstModel(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	type plan struct {
		at  int64
		seq int
		id  int
	}
	for round := range 200 {
		c := NewClock(epoch)
		var ran []int
		model := map[int]plan{}
		timers := make([]krpc.Timer, 1+r.IntN(300))
		for id := range timers {
			timers[id] = c.AfterFunc(math.MaxInt64, func() { ran = append(ran, id) })
			timers[id].Stop()
		}
		for seq := range 3 * len(timers) {
			id := r.IntN(len(timers))
			_, pending := model[id]
			if r.IntN(3) == 0 {
				if timers[id].Stop() != pending {
					t.Fatalf("round %d: Stop reported %t", round, !pending)
				}
				delete(model, id)
				continue
			}
			p := plan{at: r.Int64N(50), seq: seq, id: id}
			if timers[id].Reset(time.Duration(p.at)) != pending {
				t.Fatalf("round %d: Reset reported %t", round, !pending)
			}
			model[id] = p
		}
		var plans []plan
		for _, p := range model {
			plans = append(plans, p)
		}
		slices.SortFunc(plans, func(a, b plan) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return a.seq - b.seq
		})
		c.Run(time.Minute)
		if !slices.EqualFunc(ran, plans, func(id int, p plan) bool { return id == p.id }) {
			t.Fatalf("round %d of seed %d: ran %v, want %v", round, seed, ran, plans)
		}
	}
}

package krpc

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func expectWait(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("%s: wait %v, want %v", what, got, want)
	}
}

func TestPacerBurstThenRate(t *testing.T) {
	p, now := NewPacer(100, 3), limitStart
	for range 3 {
		expectWait(t, "burst", p.Reserve(now), 0)
	}
	expectWait(t, "first after the burst", p.Reserve(now), 10*time.Millisecond)
	expectWait(t, "second after the burst", p.Reserve(now), 20*time.Millisecond)
	expectWait(t, "third, 5 ms later", p.Reserve(now.Add(5*time.Millisecond)), 25*time.Millisecond)
	now = now.Add(30 * time.Millisecond)
	expectWait(t, "when all have left", p.Reserve(now), 10*time.Millisecond)
	now = now.Add(time.Minute)
	for range 3 {
		expectWait(t, "burst after a rest", p.Reserve(now), 0)
	}
	expectWait(t, "rest is not saved beyond the burst", p.Reserve(now), 10*time.Millisecond)
}

func TestPacerTryReserve(t *testing.T) {
	p, now := NewPacer(100, 1), limitStart
	steps := []struct {
		limit, wait time.Duration
		ok          bool
	}{
		{0, 0, true},
		{0, 10 * time.Millisecond, false},
		{9 * time.Millisecond, 10 * time.Millisecond, false}, // a refusal takes no place
		{10 * time.Millisecond, 10 * time.Millisecond, true},
		{time.Second, 20 * time.Millisecond, true},
	}
	for i, s := range steps {
		if wait, ok := p.TryReserve(now, s.limit); wait != s.wait || ok != s.ok {
			t.Errorf("step %d: TryReserve(%v) = %v, %t, want %v, %t", i, s.limit, wait, ok, s.wait, s.ok)
		}
	}
}

// Half of a burst is for those who cannot wait; where it is one datagram, they share it.
func TestPacerSparesTheBurst(t *testing.T) {
	for burst, want := range map[int]int{1: 1, 2: 1, 5: 3, 10: 5} {
		p, now, got := NewPacer(100, burst), limitStart, 0
		for wait, ok := p.tryLater(now); ok; wait, ok = p.tryLater(now) {
			expectWait(t, "later", wait, 0)
			got++
		}
		if got != want {
			t.Errorf("%d of a burst of %d, want %d", got, burst, want)
		}
		wait, _ := p.tryLater(now)
		expectWait(t, "the next one", wait, 10*time.Millisecond)
		for range burst - want {
			expectWait(t, "those who cannot wait", p.Reserve(now), 0)
		}
		wait, _ = p.tryLater(now)
		expectWait(t, "with nothing left", wait, time.Duration(burst-want+1)*10*time.Millisecond)
		if _, ok := p.tryLater(now.Add(wait)); !ok {
			t.Errorf("burst %d: no place when there was to be one", burst)
		}
	}
}

func TestPacerWithoutLimit(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN()} {
		p := NewPacer(rate, 1)
		for range 1000 {
			expectWait(t, fmt.Sprint("rate ", rate), p.Reserve(limitStart), 0)
		}
		if _, ok := p.TryReserve(limitStart, 0); !ok {
			t.Errorf("rate %v: TryReserve refused", rate)
		}
	}
}

func TestPacerExtremes(t *testing.T) {
	slow := NewPacer(1e-300, 0)
	expectWait(t, "slowest", slow.Reserve(limitStart), 0)
	expectWait(t, "slowest", slow.Reserve(limitStart), time.Hour)
	wide := NewPacer(1e-300, math.MaxInt)
	for range 1000 {
		expectWait(t, "widest", wide.Reserve(limitStart), 0)
	}
	fast := NewPacer(math.Inf(1), 1)
	expectWait(t, "fastest", fast.Reserve(limitStart), 0)
	expectWait(t, "fastest", fast.Reserve(limitStart), time.Nanosecond)
}

// No lookup may feel the default limit, and no burst may pass it.
func TestPacerDefaults(t *testing.T) {
	p := NewPacer(DefaultSendRate, DefaultSendBurst)
	for range 1000 {
		expectWait(t, "default burst", p.Reserve(limitStart), 0)
	}
	expectWait(t, "after it", p.Reserve(limitStart), time.Millisecond)
}

func TestPacerConcurrent(t *testing.T) {
	p := NewPacer(1000, 100)
	var free, delayed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				switch wait, ok := p.TryReserve(limitStart, 500*time.Millisecond); {
				case ok && wait == 0:
					free.Add(1)
				case ok:
					delayed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if free.Load() != 100 || delayed.Load() != 500 {
		t.Errorf("%d free and %d delayed, want 100 and 500", free.Load(), delayed.Load())
	}
}

func TestPacerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p, now := NewPacer(10, 2), limitStart
	if allocs := testing.AllocsPerRun(1000, func() { p.Reserve(now) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkPacer(b *testing.B) {
	p, now := NewPacer(DefaultSendRate, DefaultSendBurst), limitStart
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		p.TryReserve(now, time.Second)
	}
}

package krpc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var limitStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newTestLimiter(rate float64, burst, cells int) *Limiter {
	return NewLimiter(rate, burst, cells, rand.New(rand.NewPCG(1, 2)))
}

// sourceAddr returns the n-th of many IPv4 addresses.
func sourceAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(11 + n>>24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// flood returns how many of n queries at once l lets through.
func flood(l *Limiter, from netip.Addr, now time.Time, n int) (allowed int) {
	for range n {
		if l.Allow(from, now) {
			allowed++
		}
	}
	return allowed
}

func expectAllowed(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d queries allowed, want %d", what, got, want)
	}
}

func TestLimiterBurstThenRate(t *testing.T) {
	l, a, now := newTestLimiter(10, 3, 64), sourceAddr(1), limitStart
	expectAllowed(t, "burst", flood(l, a, now, 50), 3)
	expectAllowed(t, "just before a query is paid for", flood(l, a, now.Add(99*time.Millisecond), 50), 0)
	expectAllowed(t, "one query later", flood(l, a, now.Add(100*time.Millisecond), 50), 1)
	expectAllowed(t, "two more", flood(l, a, now.Add(300*time.Millisecond), 50), 2)
	expectAllowed(t, "after a long rest", flood(l, a, now.Add(time.Hour), 50), 3)

	flooded := 0
	for i := range 60_000 {
		flooded += flood(l, a, now.Add(2*time.Hour+time.Duration(i)*time.Millisecond), 1)
	}
	expectAllowed(t, "a minute of 1000 a second", flooded, 3+599)
}

func TestLimiterSources(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"1.2.3.4", "1.2.3.5", false},
		{"1.2.3.4", "::ffff:1.2.3.4", true},
		{"2001:db8::1", "2001:db8::ffff:2:3:4", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"::ffff:1.2.3.4", "::1.2.3.4", false},
		{"fe80::1%eth0", "fe80::1", true},
	}
	for _, tt := range tests {
		l := newTestLimiter(1, 1, 1024)
		l.Allow(netip.MustParseAddr(tt.a), limitStart)
		if refused := !l.Allow(netip.MustParseAddr(tt.b), limitStart); refused != tt.same {
			t.Errorf("%s and %s are one source: %t, want %t", tt.a, tt.b, refused, tt.same)
		}
	}
}

func TestLimiterWithoutLimit(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN()} {
		l := newTestLimiter(rate, 1, 64)
		expectAllowed(t, fmt.Sprint("rate ", rate), flood(l, sourceAddr(1), limitStart, 1000), 1000)
		if l.Cells() != 0 || l.Busy(limitStart) != 0 {
			t.Errorf("rate %v: %d cells, %d busy", rate, l.Cells(), l.Busy(limitStart))
		}
	}
}

func TestLimiterExtremes(t *testing.T) {
	tests := []struct {
		rate         float64
		burst, cells int
		want         int // allowed of 10 at once
	}{
		{1e-300, 2, 4, 2},
		{1e-300, math.MaxInt, 4, 10},
		{1e300, 3, 4, 3},
		{math.Inf(1), 3, 4, 3},
		{10, 0, 0, 1},
		{10, -5, -5, 1},
	}
	for _, tt := range tests {
		l := newTestLimiter(tt.rate, tt.burst, tt.cells)
		what := fmt.Sprintf("rate %g, burst %d", tt.rate, tt.burst)
		expectAllowed(t, what, flood(l, sourceAddr(1), limitStart, 10), tt.want)
	}
}

func TestLimiterCells(t *testing.T) {
	for _, tt := range []struct{ cells, want int }{
		{0, 4}, {1, 4}, {4, 4}, {5, 8}, {1000, 1024}, {1024, 1024}, {DefaultLimiterCells, 65536},
	} {
		if got := newTestLimiter(1, 1, tt.cells).Cells(); got != tt.want {
			t.Errorf("%d cells asked for: got %d, want %d", tt.cells, got, tt.want)
		}
	}
}

// A source without debt is forgotten without loss, so its cell is free.
func TestLimiterIdleCellIsTakenOver(t *testing.T) {
	l, now := newTestLimiter(10, 5, 4), limitStart
	for round := range 10 {
		for n := range 4 {
			expectAllowed(t, "full burst", flood(l, sourceAddr(4*round+n), now, 50), 5)
		}
		if got := l.Busy(now); got != 4 {
			t.Fatalf("round %d: %d cells busy, want 4", round, got)
		}
		now = now.Add(500 * time.Millisecond)
		if got := l.Busy(now); got != 0 {
			t.Fatalf("round %d: %d cells busy after the debts were paid, want 0", round, got)
		}
	}
}

func TestLimiterNobodyEvictsADebt(t *testing.T) {
	l, now := newTestLimiter(10, 5, 4), limitStart
	for n := range 4 {
		flood(l, sourceAddr(n), now, 50)
	}
	for n := range 10_000 {
		expectAllowed(t, "newcomer where all cells are full", flood(l, sourceAddr(100+n), now, 1), 0)
	}
	for n := range 4 {
		expectAllowed(t, "an owner of a cell", flood(l, sourceAddr(n), now, 50), 0)
	}
	// All together get what four sources may, however many they are.
	now = now.Add(300 * time.Millisecond)
	allowed := 0
	for n := range 10_000 {
		allowed += flood(l, sourceAddr(n), now, 1)
	}
	expectAllowed(t, "10 000 sources in four cells", allowed, 4*3)
}

func TestLimiterNewcomerSharesOneCell(t *testing.T) {
	l, now := newTestLimiter(10, 5, 4), limitStart
	for n := range 4 {
		flood(l, sourceAddr(n), now, 1)
	}
	expectAllowed(t, "newcomer", flood(l, sourceAddr(100), now, 50), 4)
	harmed := 0
	for n := range 4 {
		if flood(l, sourceAddr(n), now, 50) < 4 {
			harmed++
		}
	}
	if harmed != 1 {
		t.Errorf("the newcomer used up the allowance of %d sources, want 1", harmed)
	}
}

// With cells to spare, the limiter does what a token bucket for each source does.
func TestLimiterIsATokenBucket(t *testing.T) {
	const rate, burst, sources = 10, 20, 50
	type bucket struct {
		tokens float64
		at     time.Time
	}
	l, r := newTestLimiter(rate, burst, 4096), rand.New(rand.NewPCG(3, 4))
	var buckets [sources]bucket
	for i := range buckets {
		buckets[i] = bucket{burst, limitStart}
	}
	now, refused := limitStart, 0
	for i := range 100_000 {
		now = now.Add(time.Duration(r.IntN(30)) * 100 * time.Microsecond)
		n := min(r.IntN(sources), r.IntN(sources)) // some ask more than others
		b := &buckets[n]
		b.tokens = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())
		b.at = now
		want := b.tokens > 1-1e-6
		if got := l.Allow(sourceAddr(n), now); got != want {
			t.Fatalf("query %d of source %d with %.6f tokens: allowed %t", i, n, b.tokens, got)
		}
		if want {
			b.tokens--
		} else {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestLimiterSpreadsSources(t *testing.T) {
	l := newTestLimiter(10, 1, DefaultLimiterCells)
	for n := range 20_000 {
		l.Allow(sourceAddr(n), limitStart)
	}
	if got := l.Busy(limitStart); got < 19_500 {
		t.Errorf("20 000 neighbouring addresses take %d cells", got)
	}
}

func TestLimiterClockSetBack(t *testing.T) {
	l, a := newTestLimiter(10, 3, 64), sourceAddr(1)
	expectAllowed(t, "burst", flood(l, a, limitStart, 50), 3)
	expectAllowed(t, "an hour earlier", flood(l, a, limitStart.Add(-time.Hour), 50), 0)
	expectAllowed(t, "an hour earlier, another", flood(l, sourceAddr(2), limitStart.Add(-time.Hour), 50), 3)
	expectAllowed(t, "at last", flood(l, a, limitStart.Add(time.Second), 50), 3)
}

func TestLimiterConcurrent(t *testing.T) {
	l := newTestLimiter(10, 1000, 4)
	var allowed [4]atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 8000 {
				if l.Allow(sourceAddr(i%4), limitStart) {
					allowed[i%4].Add(1)
				}
				if i%1000 == 0 {
					l.Busy(limitStart)
				}
			}
		})
	}
	wg.Wait()
	for n := range allowed {
		expectAllowed(t, "four goroutines", int(allowed[n].Load()), 1000)
	}
}

func TestLimiterAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, v6 := newTestLimiter(10, 2, 64), netip.MustParseAddr("2001:db8::1")
	now := limitStart
	allocs := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		l.Allow(sourceAddr(1), now)
		l.Allow(v6, now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkLimiter(b *testing.B) {
	sources := make([]netip.Addr, 1<<16)
	for i := range sources {
		sources[i] = sourceAddr(i * 7919)
	}
	for _, n := range []int{1, len(sources)} {
		b.Run(fmt.Sprintf("sources=%d", n), func(b *testing.B) {
			l, now, i := newTestLimiter(DefaultSourceRate, DefaultSourceBurst, DefaultLimiterCells), limitStart, 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				l.Allow(sources[i%n], now.Add(time.Duration(i)*time.Microsecond))
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		l := newTestLimiter(DefaultSourceRate, DefaultSourceBurst, DefaultLimiterCells)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				l.Allow(sources[i%len(sources)], limitStart.Add(time.Duration(i)*time.Microsecond))
			}
		})
	})
	b.Run("busy", func(b *testing.B) {
		l := newTestLimiter(DefaultSourceRate, DefaultSourceBurst, DefaultLimiterCells)
		b.ReportAllocs()
		for b.Loop() {
			l.Busy(limitStart)
		}
	})
}

// To ask whether a query would be refused costs nothing, and tells what Allow says next.
func TestSpentChargesNothing(t *testing.T) {
	l, now := NewLimiter(10, 3, 64, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	a := netip.MustParseAddr("20.0.0.1")
	for i := range 200 {
		now = now.Add(30 * time.Millisecond)
		spent := l.Spent(a, now)
		if again := l.Spent(a, now); again != spent || l.Allow(a, now) == spent {
			t.Fatalf("query %d: spent %v, then %v, and the contrary of what is", i, spent, again)
		}
	}
	if (*Limiter)(nil).Spent(a, now) {
		t.Error("no limit is spent")
	}
}

// A limit tells who has used up less than half of what he may send at once under strain.
func TestLimiterTellsWhoIsFarFromIt(t *testing.T) {
	l, now := NewLimiter(10, 100, 64, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	from := netip.MustParseAddr("20.0.0.1")
	for n, want := range map[int]debt{10: lowDebt, 20: nearLimit, 30: overLimit} {
		now = now.Add(time.Hour)
		var last debt
		for range n {
			last = l.charge(from, now, true)
		}
		if last != want {
			t.Errorf("%d. query at once: debt %d, want %d", n, last, want)
		}
	}
	if (*Limiter)(nil).charge(from, now, true) != lowDebt {
		t.Error("without a limit somebody is near to it")
	}
}

package krpc

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

func addTimes(r *RTT, n int, d time.Duration) {
	for range n {
		r.Add(d)
	}
}

func TestRTTStall(t *testing.T) {
	var r RTT
	expectStall := func(what string, want time.Duration) {
		t.Helper()
		if got := r.Stall(); got < want*7/8 || got > want*9/8 {
			t.Errorf("%s: stall after %v, want about %v", what, got, want)
		}
	}
	expectStall("without samples", time.Second)
	addTimes(&r, 15, 300*time.Millisecond)
	expectStall("with 15 samples", time.Second)
	addTimes(&r, 1, 300*time.Millisecond)
	expectStall("with 16 samples", 360*time.Millisecond)

	addTimes(&r, 3000, 500*time.Millisecond)
	expectStall("when the network got slower", 600*time.Millisecond)
	for range 300 { // 95 % fast: the tail of 5 % is beyond p90
		addTimes(&r, 19, 250*time.Millisecond)
		r.Add(5 * time.Second)
	}
	expectStall("with a thin tail", 300*time.Millisecond)
	for range 300 { // 80 % fast: the tail is what p90 sees
		addTimes(&r, 8, 250*time.Millisecond)
		addTimes(&r, 2, time.Second)
	}
	expectStall("with a thick tail", 1200*time.Millisecond)
}

// The first replies tell more than a guess does.
func TestRTTStallOfAFewSamples(t *testing.T) {
	var r RTT
	for _, tt := range []struct{ sample, want time.Duration }{
		{10 * time.Millisecond, 200 * time.Millisecond},
		{100 * time.Millisecond, 300 * time.Millisecond},
		{10 * time.Millisecond, 300 * time.Millisecond},
		{5 * time.Second, time.Second},
	} {
		if r.Add(tt.sample); r.Stall() != tt.want {
			t.Errorf("after %v: %v, want %v", tt.sample, r.Stall(), tt.want)
		}
	}
}

func TestRTTStallIsClamped(t *testing.T) {
	for _, tt := range []struct{ rtt, want time.Duration }{
		{-time.Second, stallMin},
		{0, stallMin},
		{time.Microsecond, stallMin},
		{100 * time.Millisecond, stallMin},
		{2 * time.Second, stallMax},
		{10 * time.Second, stallMax},
		{math.MaxInt64, stallMax},
	} {
		var r RTT
		addTimes(&r, 1000, tt.rtt)
		if got := r.Stall(); got != tt.want {
			t.Errorf("after times of %v: stall after %v, want %v", tt.rtt, got, tt.want)
		}
	}
}

func TestRTTForgets(t *testing.T) {
	var r RTT
	addTimes(&r, 100_000, 4*time.Second)
	addTimes(&r, 4*rttEpoch, 50*time.Millisecond)
	if got := r.Quantile(0.9); got > 60*time.Millisecond {
		t.Errorf("p90 = %v long after times fell to 50 ms", got)
	}
}

// Weights are rounded when they are halved; the quantiles must not drift by it.
func TestRTTQuantilesOfALogNormal(t *testing.T) {
	var r RTT
	rnd := rand.New(rand.NewPCG(1, 2))
	var recent []time.Duration
	for range 50 * rttEpoch {
		d := time.Duration(90 * math.Exp(0.8*rnd.NormFloat64()) * float64(time.Millisecond))
		r.Add(d)
		recent = append(recent, d)
	}
	slices.Sort(recent)
	for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9} {
		want := recent[int(q*float64(len(recent)))]
		if got := r.Quantile(q); got < want*8/10 || got > want*12/10 {
			t.Errorf("p%.0f = %v, want about %v", 100*q, got, want)
		}
	}
}

func TestRTTQuantileBounds(t *testing.T) {
	var r RTT
	if got := r.Quantile(0.5); got != 0 {
		t.Errorf("median of nothing = %v", got)
	}
	r.Add(100 * time.Millisecond)
	low, high := r.Quantile(-1), r.Quantile(2)
	if low > 100*time.Millisecond || high < 100*time.Millisecond || high-low > 13*time.Millisecond {
		t.Errorf("one time of 100 ms is between %v and %v", low, high)
	}
	r.Add(time.Hour)
	if got := r.Quantile(1); got != rttMax {
		t.Errorf("an hour counts as %v, want %v", got, rttMax)
	}
}

func TestRTTBins(t *testing.T) {
	if got := rttBin(rttMax); got != rttBins-1 {
		t.Fatalf("bin of %v = %d, want the last, %d", rttMax, got, rttBins-1)
	}
	for i := range rttBins {
		start, end := rttBinStart(i), rttBinStart(i+1)
		if got := rttBin(start); got != i {
			t.Errorf("bin %d starts at %v, which is in bin %d", i, start, got)
		}
		if got := rttBin(end - 1); got != i {
			t.Errorf("bin %d ends before %v, yet %v is in bin %d", i, end, end-1, got)
		}
		if start >= time.Millisecond && (end-start)*8 > start {
			t.Errorf("bin %d from %v to %v is wider than an eighth", i, start, end)
		}
	}
}

func TestRTTIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(RTT{}); got > 248 {
		t.Errorf("an RTT takes %d bytes, its comment says at most 248", got)
	}
}

func BenchmarkRTTAdd(b *testing.B) {
	var r RTT
	d := time.Millisecond
	b.ReportAllocs()
	for b.Loop() {
		d = (d*5/4 + time.Microsecond) % (2 * time.Second)
		r.Add(d)
	}
}

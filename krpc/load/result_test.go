package load

import (
	"math"
	"testing"
	"time"
)

func TestLatencyBucketsHaveNoGaps(t *testing.T) {
	for _, v := range []uint64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 123_456_789, math.MaxInt64} {
		i := bucketOf(v)
		if v > bucketEnd(i) || i > 0 && v <= bucketEnd(i-1) {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, bucketEnd(i))
		}
		if float64(bucketEnd(i)) > float64(v)*1.07 {
			t.Errorf("%d is taken for up to %d", v, bucketEnd(i))
		}
	}
}

func TestQuantile(t *testing.T) {
	var l Latency
	if l.Quantile(.5) != 0 {
		t.Error("of nothing: not 0")
	}
	for i := range 1000 {
		l.observe(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		0: time.Microsecond, .5: 500 * time.Microsecond, .99: 990 * time.Microsecond, 1: time.Millisecond,
	} {
		if got := l.Quantile(q); got < want || got > want*107/100 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
}

func TestResultsAddUp(t *testing.T) {
	one := Result{Sent: 5, Replies: 1, Errors: 1, Wrong: 1, Lost: 1, Unsent: 1, Bytes: 100, Elapsed: time.Second, Fault: "first"}
	one.Latency.observe(time.Millisecond)
	sum := one
	sum.Add(one)
	sum.Add(Result{Fault: "later"})
	if sum.Sent != 10 || sum.Replies != 2 || sum.Errors+sum.Wrong+sum.Lost+sum.Unsent != 8 || sum.Bytes != 200 ||
		sum.Fault != "first" || sum.Rate() != 1 || sum.Latency.total != 2 {
		t.Errorf("sum %+v", sum)
	}
}

package load

import (
	"math/bits"
	"time"
)

// Result is what came of a run. Each query sent is in one of Replies, Errors, Wrong
// and Lost; one whose reply was garbled beyond recognition is Lost, and that reply Wrong.
type Result struct {
	Sent    uint64
	Replies uint64 // that are right
	Errors  uint64 // KRPC errors
	Wrong   uint64 // replies without what they must have, and datagrams that are none
	Lost    uint64 // queries without a reply within the timeout
	Unsent  uint64 // queries of an open loop that were not sent: too many waited for a reply
	Bytes   uint64 // of the right replies

	Elapsed time.Duration // from the start to the last reply
	Latency Latency       // of the right replies
	Fault   string        // what was wrong with the first reply that was not right, in ASCII
}

// Add adds the counts and times of o to r.
func (r *Result) Add(o Result) {
	r.Sent += o.Sent
	r.Replies += o.Replies
	r.Errors += o.Errors
	r.Wrong += o.Wrong
	r.Lost += o.Lost
	r.Unsent += o.Unsent
	r.Bytes += o.Bytes
	r.Elapsed += o.Elapsed
	r.Latency.add(&o.Latency)
	if r.Fault == "" {
		r.Fault = o.Fault
	}
}

// Rate returns the right replies a second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Replies) / r.Elapsed.Seconds()
}

// subBits is the binary logarithm of how many buckets of Latency there are to a power
// of two: 16, so that a quantile is good to some 6 %.
const subBits = 4

// Latency counts times, in buckets that grow with them. Its zero value is empty.
type Latency struct {
	counts [64 << subBits]uint64
	total  uint64
}

func (l *Latency) observe(d time.Duration) {
	l.counts[bucketOf(uint64(max(d, 0)))]++
	l.total++
}

// bucketOf returns the bucket of v: the place of its highest bit and the subBits below.
func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits | int(v>>shift)&(1<<subBits-1)
}

// bucketEnd returns the largest value of a bucket.
func bucketEnd(i int) uint64 {
	if i < 1<<subBits {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(i&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
}

func (l *Latency) add(o *Latency) {
	for i, n := range o.counts {
		l.counts[i] += n
	}
	l.total += o.total
}

// Quantile returns the time within which the share q of all replies came, 0 to 1; 0 if
// there were none.
func (l *Latency) Quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(l.total)), uint64(0)
	for i, n := range l.counts {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(bucketEnd(i))
		}
	}
	return 0
}

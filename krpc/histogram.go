package krpc

import (
	"math"
	"sync/atomic"
)

// Histogram counts observations in fixed buckets without locks or allocation.
// It is safe for concurrent use.
type Histogram struct {
	bounds []float64
	// counts are two more than bounds: the first is the sum, as the bits of a float64, and the
	// last is for all above.
	counts []atomic.Uint64
}

// HistogramSnapshot is a copy of a Histogram. Counts[i] observations were at
// most Bounds[i] and above the bound before it; the last count has no bound.
type HistogramSnapshot struct {
	Bounds []float64 // shared and read-only
	Counts []uint64
	Sum    float64
}

// NewHistogram returns a Histogram with ascending upper bounds.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+2)}
}

// Observe counts v.
func (h *Histogram) Observe(v float64) {
	i := 1
	for i <= len(h.bounds) && v > h.bounds[i-1] {
		i++
	}
	h.counts[i].Add(1)
	sum := &h.counts[0]
	for {
		old := sum.Load()
		if sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Snapshot returns a copy of the counts.
func (h *Histogram) Snapshot() HistogramSnapshot {
	s := HistogramSnapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)-1)}
	for i := range s.Counts {
		s.Counts[i] = h.counts[i+1].Load()
	}
	s.Sum = math.Float64frombits(h.counts[0].Load())
	return s
}

// Count returns the number of observations.
func (s HistogramSnapshot) Count() uint64 {
	var n uint64
	for _, c := range s.Counts {
		n += c
	}
	return n
}

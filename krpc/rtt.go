package krpc

import (
	"math/bits"
	"time"
)

const (
	rttMax  = 10 * time.Second // longer ones count as this
	rttUnit = time.Millisecond / rttSub

	// Each doubling of time has rttSub bins, of a width between 1/16 and 1/8 of
	// the times in them; so has the first millisecond.
	rttSubBits = 3
	rttSub     = 1 << rttSubBits
	rttBins    = 114 // rttBin(rttMax) + 1

	// A sample counts rttWeight at first and half as much after each rttEpoch
	// samples, so the last few hundred decide. A weight above 1 keeps the halves
	// from being rounded away, which would cut off the sparse bins of the tail.
	// A bin holds at most 2 × rttEpoch × rttWeight = 32 768.
	rttEpoch  = 256
	rttWeight = 64

	// A query stalls at 1.2 × p90 of recent times: measured on an emulated
	// mainline, that frees the slots of dead nodes early and seldom those of live
	// ones. The bounds keep a quiet network from being impatient and a bad one
	// from waiting.
	stallQuantile = 0.9
	stallMin      = 200 * time.Millisecond
	stallMax      = 1500 * time.Millisecond
	stallDefault  = time.Second // before there is a sample
	stallEvery    = 16          // samples; reading all bins for each would be waste
	stallEarly    = 3           // times the slowest of fewer samples than that
)

// RTT remembers recent round-trip times as a histogram that forgets. The zero
// RTT is empty and ready. It takes at most 248 bytes and is not safe for concurrent use.
type RTT struct {
	bins  [rttBins]uint16
	added uint16 // samples since the last halving
	total uint32 // sum of bins
	stall time.Duration
}

// Add records a round-trip time. One below 0 counts as 0, one above 10 s as 10 s.
func (r *RTT) Add(d time.Duration) {
	r.bins[rttBin(d)] += rttWeight
	r.total += rttWeight
	r.added++
	if r.added%stallEvery == 0 {
		r.stall = min(max(r.Quantile(stallQuantile)*6/5, stallMin), stallMax)
	} else if r.total < stallEvery*rttWeight {
		r.stall = min(max(r.stall, stallEarly*d, stallMin), stallDefault)
	}
	if r.added == rttEpoch {
		r.halve()
	}
}

func (r *RTT) halve() {
	r.added, r.total = 0, 0
	for i := range r.bins {
		r.bins[i] /= 2
		r.total += uint32(r.bins[i])
	}
}

// Quantile returns the time that the share q, 0 to 1, of the recent ones stay
// below, interpolated within a bin; 0 when there are none.
func (r *RTT) Quantile(q float64) time.Duration {
	if r.total == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(r.total)
	var below float64
	for i, n := range r.bins {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			low, high := rttBinStart(i), min(rttBinStart(i+1), rttMax)
			return low + time.Duration(float64(high-low)*(rank-below)/float64(n))
		}
		below += float64(n)
	}
	return rttMax
}

// Stall returns how long to wait for a reply before its slot in a lookup is
// given to another query: 1.2 × the 90th percentile, at least 200 ms and at most
// 1.5 s. Until there are 16 samples it is 3 × the slowest, at most 1 s, and 1 s
// without any. It is computed anew every 16 samples, so reading it costs nothing.
func (r *RTT) Stall() time.Duration {
	if r.stall == 0 {
		return stallDefault
	}
	return r.stall
}

// rttBin returns the index of d's bin: below 2*rttSub units each unit has its
// own, above them the top four bits of the number of units choose it.
func rttBin(d time.Duration) int {
	units := uint(min(max(d, 0), rttMax) / rttUnit)
	shift := max(0, bits.Len(units)-rttSubBits-1)
	return shift<<rttSubBits + int(units>>shift)
}

// rttBinStart returns the shortest time in bin i.
func rttBinStart(i int) time.Duration {
	shift := max(0, i>>rttSubBits-1)
	return time.Duration(i-shift<<rttSubBits) << shift * rttUnit
}

package simnet

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// DefaultLatency is the time one way over a Link without Latency.
	DefaultLatency = 50 * time.Millisecond
	// DefaultReorderDelay is the ReorderDelay of a Link that has none.
	DefaultReorderDelay = 100 * time.Millisecond
)

// Link is the conditions on the way from one host to another. The zero Link
// loses nothing and takes DefaultLatency. Probabilities are from 0 to 1, each
// for one datagram in one direction.
type Link struct {
	Latency   LatencyFunc // nil: DefaultLatency
	Loss      float64     // that a datagram vanishes
	Duplicate float64     // that it arrives twice, each copy in its own time
	Reorder   float64     // that it takes up to ReorderDelay longer
	Corrupt   float64     // that bits of it are flipped, or bytes cut off

	ReorderDelay time.Duration // 0: DefaultReorderDelay
}

// LatencyFunc returns how long a datagram takes from one public address to
// another, drawing from r what differs between datagrams. Less than zero counts
// as zero. If it varies, datagrams may overtake each other.
type LatencyFunc func(from, to netip.AddrPort, r *rand.Rand) time.Duration

func (l *Link) latency(from, to netip.AddrPort, r *rand.Rand) time.Duration {
	if l.Latency == nil {
		return DefaultLatency
	}
	return max(l.Latency(from, to, r), 0)
}

func (l *Link) reorderDelay(r *rand.Rand) time.Duration {
	d := l.ReorderDelay
	if d <= 0 {
		d = DefaultReorderDelay
	}
	return 1 + time.Duration(r.Int64N(int64(d)))
}

// ConstantLatency makes every datagram take d one way.
func ConstantLatency(d time.Duration) LatencyFunc {
	return func(netip.AddrPort, netip.AddrPort, *rand.Rand) time.Duration { return d }
}

// LognormalRTT gives each pair of IP addresses a round-trip time of its own,
// the same in both directions and for the whole run, from a lognormal
// distribution with the given median and 95th percentile; seed chooses which
// pair gets which. A datagram takes half of it, less 5 to plus 10 percent.
// The distribution is cut at about 3.7 standard deviations.
//
// A median of 90 ms and a p95 of 350 ms resemble the mainline DHT. It panics
// unless 0 < median <= p95.
func LognormalRTT(median, p95 time.Duration, seed uint64) LatencyFunc {
	if median <= 0 || p95 < median {
		panic("simnet: LognormalRTT: want 0 < median <= p95, have " + median.String() + ", " + p95.String())
	}
	return lognormalQuantiles(median/2, p95/2).latency(seed)
}

// lognormalQuantiles tabulates the distribution, since a logarithm and an error
// function a packet would cost more than the rest of its way. Times are rounded
// to microseconds so that the last bit of a processor's Exp does not show.
func lognormalQuantiles(median, p95 time.Duration) *quantileTable {
	const z95 = 1.6448536269514722 // the 95th percentile of the normal distribution
	sigma := math.Log(float64(p95)/float64(median)) / z95
	var q quantileTable
	for i := range q {
		u := (float64(i) + 0.5) / float64(len(q))
		z := math.Sqrt2 * math.Erfinv(2*u-1)
		q[i] = time.Duration(float64(median) * math.Exp(sigma*z)).Round(time.Microsecond)
	}
	return &q
}

// pairHash hashes two addresses, whichever comes first.
func pairHash(a, b netip.Addr, seed uint64) uint64 {
	x, y := addrHash(a, seed), addrHash(b, seed)
	return finish(mix(mix(seed, x+y), x^y))
}

func addrHash(a netip.Addr, seed uint64) uint64 {
	hi, lo := addrWords(a)
	return finish(mix(mix(seed, hi), lo))
}

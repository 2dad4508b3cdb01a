package krpc

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

// Defaults of the limit on the queries of one source.
const (
	// DefaultSourceRate is in queries a second. libtorrent bans whoever sends
	// it more than 5 a second over 10 seconds, so honest nodes stay below that;
	// twice as much leaves room for several of them behind one NAT. Replies are
	// at most MaxReply bytes, so whoever forges the source of queries makes us
	// send his victim 10 kB/s at most.
	DefaultSourceRate = 10
	// DefaultSourceBurst lets a client that queries 20 nodes at once, or that
	// refreshes all its buckets on start-up, ask us about many targets in a row.
	DefaultSourceBurst = 100
	// DefaultLimiterCells is 512 KiB of memory. A source that asked once is
	// idle again after 100 ms, so it takes 650 000 queries a second from
	// different sources to keep every cell busy.
	DefaultLimiterCells = 65536
)

const (
	limiterWays = 4 // cells that a source may take

	// A cell has a tag of the source's hash in its upper 16 bits, and below it
	// the tick until which the source is in debt. 48 bits of 10 µs are 89 years.
	limiterTick     = 10 * time.Microsecond
	limiterTimeBits = 48
	limiterTimeMask = 1<<limiterTimeBits - 1

	// slowestInterval bounds the time that one unit of a limit costs, so that
	// no sum of times overflows.
	slowestInterval = time.Hour

	// strictBurst is how many seconds' worth of queries a source may send at once under strain:
	// some thousand hosts, each with a burst of ten seconds, would be more than there is time for.
	strictBurst = 2
	// strictAge is for how long after strain this holds: the bursts would be the reason for the next.
	strictAge = time.Second
)

type limiterSet [limiterWays]atomic.Uint64

// Limiter bounds the queries a second of each source: of an IPv4 address or an
// IPv6 /64, since a /64 is what one subscriber has at the least.
//
// Each source has a debt that every admitted query adds 1/rate to and that time
// pays off; a query that would take the debt above burst/rate is refused, free
// of charge (GCRA, the virtual scheduling form of a token bucket). The debts are
// in a hash table of fixed size, keyed with a secret so that no source can
// choose whom it shares with. A source without debt needs no cell, so its cell
// goes to the next newcomer, and forgetting it changes nothing. Where all four
// cells that a newcomer may take are in debt, it shares one of them, always the
// same: nobody's debt is ever evicted, and a newcomer neither gets more than one
// source may, nor can use up the allowance of more than one other.
//
// A nil Limiter allows everything. A Limiter takes no lock, allocates nothing
// after its first query, and is safe for concurrent use.
type Limiter struct {
	key      SipKey
	sets     []limiterSet
	mask     uint64
	interval int64 // ticks that a query costs
	limit    int64 // ticks of debt that a source may have
	strict   int64 // the same under strain
	epoch    epoch
}

// NewLimiter returns a Limiter for rate queries a second on average (rounded to
// a cost of whole 10 µs a query, at most an hour) and burst, at least 1, at
// once. cells is the memory in units of 8 bytes, rounded up to a power of two,
// at least 4. The key is drawn from r, see NewSipKey. With a rate that is not
// above 0 there is no limit: NewLimiter returns nil.
func NewLimiter(rate float64, burst, cells int, r *rand.Rand) *Limiter {
	if !(rate > 0) {
		return nil
	}
	sets := 1 << bits.Len(uint(max(0, cells-1)/limiterWays))
	l := &Limiter{key: NewSipKey(r), sets: make([]limiterSet, sets), mask: uint64(sets - 1)}
	cost := math.Round(float64(time.Second/limiterTick) / rate)
	cost = min(max(1, cost), float64(slowestInterval/limiterTick))
	l.interval = int64(cost)
	l.limit = int64(min(cost*float64(max(1, burst)), 1<<(limiterTimeBits-1)))
	l.strict = min(l.limit, max(l.interval, int64(strictBurst*time.Second/limiterTick)))
	return l
}

// Allow reports whether a query that came from the address at now is within the
// limit, and if so charges for it.
func (l *Limiter) Allow(from netip.Addr, now time.Time) bool {
	return l.charge(from, now, false) >= nearLimit
}

// debt is what a limit says of a source.
type debt uint8

const (
	overLimit debt = iota // refused
	inDebt                // refused for what was allowed before the strain
	nearLimit             // has more than half of the debt that is allowed under strain
	lowDebt
)

// charge is Allow, with bursts of two seconds' worth if it is strict, and tells how far a source is
// from the limit.
func (l *Limiter) charge(from netip.Addr, now time.Time, strict bool) debt {
	if l == nil {
		return lowDebt
	}
	limit := l.limit
	if strict {
		limit = l.strict
	}
	h := l.key.sumWords(sourceWords(from))
	set := &l.sets[h&l.mask]
	t := l.ticks(now)
	for {
		cell, old := set.find(h, t)
		tag, due := h>>limiterTimeBits, int64(old&limiterTimeMask)
		if due > t {
			tag = old >> limiterTimeBits // perhaps shared: its owner keeps it
		}
		due = max(due, t) + l.interval
		if due-t > limit { // without a write, so that a flood dirties no cache line
			if due-t > limit+l.interval {
				return inDebt
			}
			return overLimit
		}
		if cell.CompareAndSwap(old, tag<<limiterTimeBits|uint64(due)) {
			if due-t > max(l.strict/2, 2*l.interval) {
				return nearLimit
			}
			return lowDebt
		}
	}
}

// Spent reports whether a query that came from the address at now would be refused. It charges
// for none.
func (l *Limiter) Spent(from netip.Addr, now time.Time) bool {
	if l == nil {
		return false
	}
	h := l.key.sumWords(sourceWords(from))
	t := l.ticks(now)
	_, word := l.sets[h&l.mask].find(h, t)
	return max(int64(word&limiterTimeMask), t)+l.interval-t > l.limit
}

// find returns the cell of the source with hash h at tick t, and its content:
// the source's own, else one without debt, else the one that h chooses.
func (s *limiterSet) find(h uint64, t int64) (*atomic.Uint64, uint64) {
	var idle *atomic.Uint64
	var idleWord uint64
	for i := range s {
		word := s[i].Load()
		if word>>limiterTimeBits == h>>limiterTimeBits {
			return &s[i], word
		}
		if idle == nil && int64(word&limiterTimeMask) <= t {
			idle, idleWord = &s[i], word
		}
	}
	if idle != nil {
		return idle, idleWord
	}
	// These bits are neither in the tag nor, below 2^46 sets, in the index.
	shared := &s[h>>(limiterTimeBits-2)%limiterWays]
	return shared, shared.Load()
}

// Cells returns the number of cells, 0 for a nil Limiter.
func (l *Limiter) Cells() int {
	if l == nil {
		return 0
	}
	return limiterWays * len(l.sets)
}

// Busy returns the number of cells that hold a debt at now: about the number of
// sources that asked within the last 1/rate seconds. It reads all cells, so it
// is for a metrics scrape, not for a packet.
func (l *Limiter) Busy(now time.Time) int {
	if l == nil {
		return 0
	}
	t, n := l.ticks(now), 0
	for i := range l.sets {
		for j := range l.sets[i] {
			if int64(l.sets[i][j].Load()&limiterTimeMask) > t {
				n++
			}
		}
	}
	return n
}

func (l *Limiter) ticks(now time.Time) int64 { return int64(l.epoch.elapsed(now) / limiterTick) }

// sourceWords returns what a limit knows a by: an IPv4 address or an IPv6 /64.
// The second word is 0 only for the latter.
func sourceWords(a netip.Addr) (uint64, uint64) {
	b := a.As16()
	if a.Is4() || a.Is4In6() {
		return 0, binary.BigEndian.Uint64(b[8:])
	}
	return binary.BigEndian.Uint64(b[:8]), 0
}

package krpc

import (
	"sync/atomic"
	"time"
)

// DropReason says why a received datagram was dropped without an answer.
type DropReason uint8

// The reasons for a drop.
const (
	DropMalformed   DropReason = iota // no KRPC message
	DropBlocked                       // the source is on the blocklist
	DropRateLimited                   // the source asks too often
	DropSource                        // nobody can be answered there, as at port 0
	DropUnmatched                     // a reply to nothing that was asked
	DropHandler                       // the handler declined to answer
	DropStrained                      // too many queries, and this one of a stranger

	numDropReasons = iota
)

var dropNames = [numDropReasons]string{
	"malformed", "blocked", "rate_limited", "source", "unmatched", "handler", "strained",
}

// String returns the reason as a metric label.
func (r DropReason) String() string { return dropNames[r] }

// counters are the running counts of an Endpoint.
type counters struct {
	queriesIn  [NumMethods]atomic.Uint64
	repliesOut [NumMethods]atomic.Uint64
	errorsOut  [NumMethods]atomic.Uint64
	queriesOut [NumMethods]atomic.Uint64
	repliesIn  [NumMethods]atomic.Uint64
	errorsIn   [NumMethods]atomic.Uint64
	timeouts   [NumMethods]atomic.Uint64
	stalls     atomic.Uint64
	refused    atomic.Uint64
	sendErrors atomic.Uint64
	brief      atomic.Uint64 // queries answered briefly
	held       atomic.Uint64
	drops      [numDropReasons]atomic.Uint64
	rtt        *Histogram
}

// MethodStats counts the messages of one method since the start.
type MethodStats struct {
	QueriesIn  uint64 // queries received, rate-limited ones excluded
	RepliesOut uint64
	ErrorsOut  uint64
	QueriesOut uint64
	RepliesIn  uint64
	ErrorsIn   uint64
	Timeouts   uint64 // queries that were not answered within the hard timeout
}

// Stats is a snapshot of an Endpoint's counters and gauges.
type Stats struct {
	Methods      [NumMethods]MethodStats // by Method
	Drops        [numDropReasons]uint64  // by DropReason
	Stalls       uint64                  // queries that passed their soft timeout
	Refused      uint64                  // own queries refused with ErrBusy
	SendErrors   uint64                  // own queries that the transport refused
	Pending      int                     // own queries without an answer yet
	MaxPending   int
	Remotes      RemotesStats
	LimiterBusy  int // sources with a debt in the limiter
	LimiterCells int
	Brief        uint64 // queries that got short replies, see Request.Brief
	Held         uint64 // queries whose reply had to wait for a proof, see ErrUnproven
	Holding      int    // of these now
	MaxHolding   int
	Proven       int           // addresses that have shown lately to be who they are
	ProvenCells  int           // most of these
	Asked        int           // addresses that have asked lately, but for strangers that have come in a flood
	AskedCells   int           // most of these
	StallTime    time.Duration // today's soft timeout
	RTT          HistogramSnapshot
}

// Stats returns a snapshot of the counters. It is safe for concurrent use.
func (e *Endpoint) Stats() Stats {
	var s Stats
	c := &e.counters
	for m := range s.Methods {
		s.Methods[m] = MethodStats{
			QueriesIn:  c.queriesIn[m].Load(),
			RepliesOut: c.repliesOut[m].Load(),
			ErrorsOut:  c.errorsOut[m].Load(),
			QueriesOut: c.queriesOut[m].Load(),
			RepliesIn:  c.repliesIn[m].Load(),
			ErrorsIn:   c.errorsIn[m].Load(),
			Timeouts:   c.timeouts[m].Load(),
		}
	}
	for r := range s.Drops {
		s.Drops[r] = c.drops[r].Load()
	}
	s.Stalls, s.Refused, s.SendErrors = c.stalls.Load(), c.refused.Load(), c.sendErrors.Load()
	s.RTT, s.Remotes = c.rtt.Snapshot(), e.cfg.Remotes.Stats()
	limiter, now := e.limiter.Load(), e.cfg.Clock.Now()
	s.LimiterBusy, s.LimiterCells = limiter.Busy(now), limiter.Cells()
	s.Brief, s.Proven, s.ProvenCells = c.brief.Load(), e.cfg.Proven.Known(now), e.cfg.Proven.Cells()
	s.Asked, s.AskedCells = e.asked.known(now), e.asked.cells()
	s.Held, s.Holding, s.MaxHolding = c.held.Load(), int(e.held.size.Load()), maxHeld
	e.mu.Lock()
	s.Pending, s.MaxPending, s.StallTime = len(e.pending), e.cfg.MaxPending, e.rtt.Stall()
	e.mu.Unlock()
	return s
}

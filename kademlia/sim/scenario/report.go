package scenario

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
)

// Report is what has come of a run. Shares are 0 to 1, times in seconds.
type Report struct {
	Scenario  string  `json:"scenario"`
	Seed      uint64  `json:"seed"`
	Nodes     int     `json:"nodes"`    // hosts at the end
	Started   int     `json:"started"`  // programs that were, ever
	Minutes   float64 `json:"minutes"`  // of virtual time
	Events    uint64  `json:"events"`   // of the clock
	Sent      uint64  `json:"sent"`     // datagrams
	Received  uint64  `json:"received"` // of these
	TraceHash string  `json:"trace_hash"`
	Settings
	Verdict  Verdict `json:"verdict"`
	Demanded int     `json:"demanded"` // peers and items acknowledged, and asked for when the world had settled
	Replay   string  `json:"replay"`   // the command that runs the same again

	// Lookups are for random ids, GetPeers for an info-hash of which a peer is up, announced
	// and not the one who asks, Gets for an item that was stored less than two hours ago.
	Lookups  Operations `json:"lookups"`
	Exact    float64    `json:"exact"` // share of the k closest nodes that lookups have found
	GetPeers Operations `json:"get_peers"`
	Gets     Operations `json:"gets"`
	Puts     Operations `json:"puts"`

	// Load is the datagrams a second that a node receives while things go wrong: its mean over
	// that time, by node.
	Load         Distribution `json:"load"`
	LoadOverTime []LoadMinute `json:"load_over_time"`
	// Tables are those at the end of that time. They are not there if the run has not come so far.
	Tables Tables `json:"tables"`
}

// Verdict is how a run has ended.
type Verdict string

// The verdicts. What was held to is all of it only if the run was not to skip the final.
const (
	VerdictHeld        Verdict = "held"        // nothing was found that must not be
	VerdictBroken      Verdict = "broken"      // an invariant does not hold
	VerdictInterrupted Verdict = "interrupted" // Config.Progress has ended it; until then all held
)

// Settings are what was run, with the defaults that Config leaves to the run.
type Settings struct {
	Family       string  `json:"family"`
	FaultMinutes float64 `json:"fault_minutes"` // of virtual time, in which things go wrong
	LookupRate   int     `json:"lookups_an_hour"`
	Loss         float64 `json:"loss"`            // beside the scenario's
	Session      float64 `json:"session_seconds"` // mean, of churn; 0: there is none
	Shape        float64 `json:"shape"`           // of these; 1: exponential; 0: there is no churn
	SkipFinal    bool    `json:"skip_final"`
}

// settings returns what c, which has its defaults, says.
func (c *Config) settings() Settings {
	s := Settings{Family: c.Family.String(), FaultMinutes: c.Length.Minutes(), LookupRate: c.Lookups, Loss: c.Loss, SkipFinal: c.SkipFinal}
	for _, f := range c.Scenario.Faults {
		if f.Kind == Churn {
			s.Session, s.Shape = f.Time.Seconds(), f.Shape
			if s.Shape <= 0 {
				s.Shape = 1
			}
		}
	}
	return s
}

// Operations are a number of lookups of a kind.
type Operations struct {
	Count    int          `json:"count"`
	Success  float64      `json:"success"` // share
	Seconds  Distribution `json:"seconds"`
	First    Distribution `json:"first"` // seconds to the first of what was looked for
	Hops     Distribution `json:"hops"`
	Messages Distribution `json:"messages"` // queries sent

	// Times are what Seconds sums up, and FirstTimes what First does, ascending: for plots.
	Times, FirstTimes []float64 `json:"-"`
}

// Distribution sums up some numbers.
type Distribution struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// LoadMinute is the load of a minute, in datagrams a second that nodes receive.
type LoadMinute struct {
	Minute float64 `json:"minute"` // of virtual time
	Mean   float64 `json:"mean"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Tables tells of the routing tables of hosts that have been up for some minutes.
type Tables struct {
	Contacts float64 `json:"contacts"` // mean
	Dead     float64 `json:"dead"`     // share of the contacts that are handed out
	Missing  float64 `json:"missing"`  // share of the k nodes closest to a node that are not in its table
}

// recorder collects what makes a Report.
type recorder struct {
	lookups, getPeers, gets, puts operations
	compared                      int
	exact                         float64
	minutes                       []LoadMinute
	faults                        struct{ began, ended time.Duration } // virtual; 0: not yet
	load                          Distribution
	tables                        Tables
	demanded                      int
}

type operations struct {
	ok                            int
	seconds, first, hops, queries []float64
}

// add takes note of an operation; first is below 0 if nothing was found.
func (s *operations) add(ok bool, took, first time.Duration, lookups []kademlia.LookupResult) {
	if ok {
		s.ok++
	}
	if first >= 0 {
		s.first = append(s.first, first.Seconds())
	}
	hops, queries := 0, 0
	for _, l := range lookups {
		hops = max(hops, l.Hops)
		queries += l.Queries
	}
	s.seconds = append(s.seconds, took.Seconds())
	s.hops = append(s.hops, float64(hops))
	s.queries = append(s.queries, float64(queries))
}

func (s *operations) result() Operations {
	r := Operations{Count: len(s.seconds), Seconds: summarize(s.seconds), First: summarize(s.first),
		Hops: summarize(s.hops), Messages: summarize(s.queries), Times: s.seconds, FirstTimes: s.first}
	if r.Count > 0 {
		r.Success = float64(s.ok) / float64(r.Count)
	}
	return r
}

// summarize sorts values and sums them up.
func summarize(values []float64) (d Distribution) {
	if len(values) == 0 {
		return d
	}
	slices.Sort(values)
	for _, v := range values {
		d.Mean += v / float64(len(values))
	}
	at := func(q float64) float64 { return values[int(math.Ceil(q*float64(len(values))))-1] }
	d.P50, d.P90, d.P99, d.Max = at(.5), at(.9), at(.99), at(1)
	return d
}

// result returns the report of the run so far.
func (w *world) result(verdict Verdict) Report {
	s, rec := w.net.Stats(), &w.report
	r := Report{
		Scenario: w.cfg.Scenario.Name, Seed: w.cfg.Seed, Nodes: len(w.hosts), Started: w.programs,
		Minutes: w.now().Minutes(), Events: w.events, Sent: s.Sent, Received: s.Delivered,
		TraceHash: fmt.Sprintf("%016x", w.net.TraceHash()),
		Lookups:   rec.lookups.result(), GetPeers: rec.getPeers.result(), Gets: rec.gets.result(), Puts: rec.puts.result(),
		Load: rec.load, LoadOverTime: rec.minutes, Tables: rec.tables,
		Settings: w.cfg.settings(), Verdict: verdict, Demanded: rec.demanded, Replay: w.replay,
	}
	if rec.compared > 0 {
		r.Exact = rec.exact / float64(rec.compared)
	}
	if rec.faults.ended == 0 {
		r.Load = w.loadSinceFaults()
	}
	return r
}

package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// Report sums up a number of lookups.
type Report struct {
	Nodes   int // in the world
	Lookups int
	Exact   int     // ended at the true k closest nodes
	Reached float64 // of the true k closest, on average
	Hops    float64 // mean
	Queries float64 // mean
	P50     time.Duration
	P90     time.Duration
	P99     time.Duration
}

// ExactShare returns the share of lookups that ended at the true k closest.
func (r Report) ExactShare() float64 { return float64(r.Exact) / float64(r.Lookups) }

// String returns the report as a line.
func (r Report) String() string {
	return fmt.Sprintf("%d nodes, %d lookups: %.2f%% exact, %.3f of the closest, %.2f hops, %.1f queries, %v/%v/%v p50/p90/p99",
		r.Nodes, r.Lookups, 100*r.ExactShare(), r.Reached, r.Hops, r.Queries,
		r.P50.Round(time.Millisecond), r.P90.Round(time.Millisecond), r.P99.Round(time.Millisecond))
}

// lookupInterval is the time between the starts of two measured lookups. It is
// short, so that tables do not mend while they are measured.
const lookupInterval = 20 * time.Millisecond

// MeasureLookups runs lookups for random ids from random nodes and compares what
// they find with the truth.
func (w *World) MeasureLookups(lookups int) Report {
	return w.MeasureLookupsEvery(lookupInterval, lookups)
}

// MeasureLookupsEvery is MeasureLookups with that time between two starts. In a large world
// little of it passes the time of the upkeep of all.
func (w *World) MeasureLookupsEvery(interval time.Duration, lookups int) Report {
	r := Report{Lookups: lookups}
	for _, h := range w.Hosts {
		if !h.Down {
			r.Nodes++
		}
	}
	var took []time.Duration
	for i := range lookups {
		w.Clock.AfterFunc(time.Duration(i)*interval, func() {
			h, target := w.RandomHost(), krpc.RandomID(w.Rand)
			h.Lookup(kademlia.Lookup{Target: target, Kind: kademlia.LookupFindNode, Done: func(res kademlia.LookupResult) {
				took = append(took, res.Took)
				w.compare(&r, h, target, res)
			}})
		})
	}
	w.Clock.RunUntil(func() bool { return len(took) == lookups }, time.Hour)
	n := float64(lookups)
	r.Reached, r.Hops, r.Queries = r.Reached/n, r.Hops/n, r.Queries/n
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))] }
	r.P50, r.P90, r.P99 = at(.5), at(.9), at(.99)
	return r
}

// compare adds a lookup that h has made to r.
func (w *World) compare(r *Report, h *Host, target krpc.ID, res kademlia.LookupResult) {
	truth := slices.DeleteFunc(w.Closest(target, h.K()+1), func(n krpc.NodeInfo) bool { return n.Addr == h.Addr })
	truth = truth[:min(len(truth), h.K())]
	found := 0
	for _, n := range truth {
		if slices.ContainsFunc(res.Closest, func(c kademlia.Contact) bool { return c.NodeInfo == n }) {
			found++
		}
	}
	if found == len(truth) {
		r.Exact++
	}
	r.Reached += float64(found) / float64(len(truth))
	r.Hops += float64(res.Hops)
	r.Queries += float64(res.Queries)
}

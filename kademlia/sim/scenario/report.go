package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
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

	// Lookups are for random ids, GetPeers for an info-hash of which a peer is up, announced
	// and not the one who asks, Gets for an item that was stored less than two hours ago.
	Lookups  Operations `json:"lookups"`
	Exact    float64    `json:"exact"` // share of the k closest nodes that lookups have found
	GetPeers Operations `json:"get_peers"`
	Gets     Operations `json:"gets"`
	Puts     Operations `json:"puts"`

	// Load is the datagrams a second that a node receives while things go wrong: its mean over
	// time, by node.
	Load         Distribution `json:"load"`
	LoadOverTime []LoadMinute `json:"load_over_time"`
	Tables       Tables       `json:"tables"`
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

// Tables tells of the routing tables in the settled world.
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
	tables                        Tables
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

// maxCompared bounds the lookups that are compared with the truth: that looks at every node.
const maxCompared = 2000

// compare takes note of how many of the closest nodes a lookup of h has found.
func (w *world) compare(h *host, v6 bool, target krpc.ID, res kademlia.LookupResult) {
	if w.report.compared == maxCompared {
		return
	}
	truth := w.closest(target, v6, kademlia.DefaultK+1)
	truth = slices.DeleteFunc(truth, func(n krpc.NodeInfo) bool { return w.byAddr[n.Addr.Addr()] == h })
	truth = truth[:min(len(truth), kademlia.DefaultK)]
	if len(truth) == 0 {
		return
	}
	found := 0
	for _, n := range truth {
		if slices.ContainsFunc(res.Closest, func(c kademlia.Contact) bool { return c.NodeInfo == n }) {
			found++
		}
	}
	w.report.compared++
	w.report.exact += float64(found) / float64(len(truth))
}

// measureLoad takes note of the load of the last minute.
func (w *world) measureLoad() {
	var rates []float64
	for _, h := range w.hosts {
		if h.life != nil {
			rates = append(rates, float64(h.received-h.minute)/60)
		}
		h.minute = h.received
	}
	d := summarize(rates)
	w.report.minutes = append(w.report.minutes, LoadMinute{w.now().Minutes(), d.Mean, d.P99, d.Max})
}

// measuredTables bounds the tables that are compared with the truth.
const measuredTables = 300

// measureTables compares routing tables with the truth.
func (w *world) measureTables() {
	contacts, dead, near, missing, tables := 0, 0, 0, 0, 0
	for _, h := range w.hosts[:min(len(w.hosts), measuredTables)] {
		if !h.stable(settledTime) {
			continue
		}
		for i, n := range h.life.nodes {
			known := n.State().Contacts
			tables++
			contacts += len(known)
			for _, c := range known {
				if !w.lives(c) {
					dead++
				}
			}
			for _, c := range w.closest(n.ID(), h.ends[i].is6(), kademlia.DefaultK) {
				if near++; c.ID != n.ID() && !slices.Contains(known, c) {
					missing++
				}
			}
		}
	}
	share := func(n, of int) float64 { return float64(n) / float64(max(of, 1)) }
	w.report.tables = Tables{share(contacts, tables), share(dead, contacts), share(missing, near)}
}

// lives tells whether there is such a node.
func (w *world) lives(c krpc.NodeInfo) bool {
	h := w.byAddr[c.Addr.Addr()]
	if h == nil || h.life == nil {
		return false
	}
	return slices.ContainsFunc(h.life.nodes, func(n *kademlia.Node) bool { return n.ID() == c.ID })
}

// result returns the report of the run so far.
func (w *world) result() Report {
	s, rec := w.net.Stats(), &w.report
	r := Report{
		Scenario: w.cfg.Scenario.Name, Seed: w.cfg.Seed, Nodes: len(w.hosts), Started: w.programs,
		Minutes: w.now().Minutes(), Events: w.events, Sent: s.Sent, Received: s.Delivered,
		TraceHash: fmt.Sprintf("%016x", w.net.TraceHash()),
		Lookups:   rec.lookups.result(), GetPeers: rec.getPeers.result(), Gets: rec.gets.result(), Puts: rec.puts.result(),
		LoadOverTime: rec.minutes, Tables: rec.tables,
	}
	if rec.compared > 0 {
		r.Exact = rec.exact / float64(rec.compared)
	}
	var load []float64
	for _, h := range w.hosts {
		load = append(load, float64(h.received)/max(w.clock.Now().Sub(h.since).Seconds(), 1))
	}
	r.Load = summarize(load)
	return r
}

// String returns the report in lines for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d nodes, %.0f virtual minutes, %d programs started, %d datagrams, trace %s\n",
		r.Scenario, r.Seed, r.Nodes, r.Minutes, r.Started, r.Sent, r.TraceHash)
	fmt.Fprintf(&b, "%-10s %8s %9s %17s %19s %17s\n", "", "count", "success", "hops mean p99", "messages p50 p99", "seconds p50 p90 p99")
	for _, row := range []struct {
		name string
		o    Operations
	}{{"lookups", r.Lookups}, {"get_peers", r.GetPeers}, {"gets", r.Gets}, {"puts", r.Puts}} {
		o := row.o
		fmt.Fprintf(&b, "%-10s %8d %8.2f%% %10.2f %6.0f %11.0f %7.0f %6.2f %6.2f %6.2f\n", row.name, o.Count, 100*o.Success,
			o.Hops.Mean, o.Hops.P99, o.Messages.P50, o.Messages.P99, o.Seconds.P50, o.Seconds.P90, o.Seconds.P99)
	}
	fmt.Fprintf(&b, "first peer after %.3f s, %.3f s, %.3f s (p50, p90, p99)\n", r.GetPeers.First.P50, r.GetPeers.First.P90, r.GetPeers.First.P99)
	fmt.Fprintf(&b, "lookups found %.2f%% of the closest nodes\n", 100*r.Exact)
	fmt.Fprintf(&b, "load: %.2f datagrams a second and node, p99 %.2f, max %.2f\n", r.Load.Mean, r.Load.P99, r.Load.Max)
	fmt.Fprintf(&b, "tables: %.1f contacts, %.2f%% of them dead, %.2f%% of the closest nodes missing",
		r.Tables.Contacts, 100*r.Tables.Dead, 100*r.Tables.Missing)
	return b.String()
}

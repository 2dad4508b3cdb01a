package scenario

import (
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// A lookup that is compared with the truth looks at every node. So many are compared at most, and
// so many nodes looked at.
const (
	maxCompared = 2000
	maxLookedAt = 20_000_000
)

// compare takes note of how many of the closest nodes a lookup of h has found.
func (w *world) compare(h *host, v6 bool, target krpc.ID, res kademlia.LookupResult) {
	if w.report.compared >= min(maxCompared, maxLookedAt/len(w.hosts)) {
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

// beginFaults takes note that from now on things go wrong.
func (w *world) beginFaults() {
	if w.stopped {
		return
	}
	w.report.faults.began = w.now()
	for _, h := range w.hosts {
		h.before = h.received
	}
}

// endFaults takes note of how the world is at the end of the time in which things go wrong.
func (w *world) endFaults() {
	if w.stopped {
		return
	}
	w.report.load, w.report.tables = w.loadSinceFaults(), w.measureTables(tableTime)
	w.report.faults.ended = w.now()
}

// loadSinceFaults returns the load since things go wrong, or since hosts have been there.
func (w *world) loadSinceFaults() (d Distribution) {
	if w.report.faults.began == 0 {
		return d
	}
	began := start.Add(w.report.faults.began)
	var load []float64
	for _, h := range w.hosts {
		from := began
		if h.since.After(from) {
			from = h.since
		}
		load = append(load, float64(h.received-h.before)/max(w.clock.Now().Sub(from).Seconds(), 1))
	}
	return summarize(load)
}

const (
	// measuredTables bounds the tables that are compared with the truth, about.
	measuredTables = 300
	// tableTime is how long a host has to be up for its table to be measured.
	tableTime = 5 * time.Minute
)

// measureTables compares routing tables of hosts that have been up for a time with the truth.
func (w *world) measureTables(up time.Duration) Tables {
	contacts, dead, near, missing, tables := 0, 0, 0, 0, 0
	every := max(1, len(w.hosts)/measuredTables) // early and late ones
	for j := 0; j < len(w.hosts); j += every {
		h := w.hosts[j]
		if !h.stable(up) {
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
	return Tables{share(contacts, tables), share(dead, contacts), share(missing, near)}
}

// lives tells whether there is such a node.
func (w *world) lives(c krpc.NodeInfo) bool {
	h := w.byAddr[c.Addr.Addr()]
	if h == nil || h.life == nil {
		return false
	}
	return slices.ContainsFunc(h.life.nodes, func(n *kademlia.Node) bool { return n.ID() == c.ID })
}

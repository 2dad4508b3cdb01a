// Package metrics shows the counters of nodes and trackers to Prometheus. It
// reads a snapshot of each at every scrape and keeps nothing itself, so that the
// protocol code knows of no metrics beyond its own atomic counters.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
	"github.com/kadnode/kadnode/tracker"
)

// DHT is what the collector reads of a *kademlia.DHT.
type DHT interface {
	Nodes() []*kademlia.Node
	SocketStats() []udp.Stats // in the order of Nodes, or nil
}

// Sources are what the metrics are about. Those of several DHTs, and of several
// nodes of one address family, are sums.
type Sources struct {
	DHTs      []DHT
	Trackers  []*tracker.Tracker
	Items     []*store.Items
	Journals  []*journal.Log
	Blocklist *krpc.Blocklist // may be nil
	Build     BuildInfo
}

// BuildInfo says which program it is that runs.
type BuildInfo struct {
	Version   string // of the main module
	GoVersion string
	Revision  string // of the source, if it is known
}

// collector is the prometheus.Collector of Sources.
type collector struct {
	src    Sources
	descs  descs
	node   nodeMetrics
	lookup lookupMetrics
	table  tableMetrics
	krpc   krpcMetrics
	socket socketMetrics
	store  trackerMetrics
	items  itemsMetrics
	log    journalMetrics
	foes   hostileMetrics
}

// NewCollector returns a collector of all metrics of s, with names that begin
// with kadnode_. It is safe for concurrent use.
func NewCollector(s Sources) prometheus.Collector {
	c := &collector{src: s}
	c.node = newNodeMetrics(&c.descs)
	c.lookup = newLookupMetrics(&c.descs)
	c.table = newTableMetrics(&c.descs)
	c.krpc = newKRPCMetrics(&c.descs)
	c.socket = newSocketMetrics(&c.descs)
	c.store = newTrackerMetrics(&c.descs)
	c.items = newItemsMetrics(&c.descs, &c.store)
	c.log = newJournalMetrics(&c.descs)
	c.foes = newHostileMetrics(&c.descs)
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := emitter(ch)
	t := totalOf(c.src.DHTs)
	c.node.collect(e, &c.src, t)
	c.lookup.collect(e, t)
	c.table.collect(e, t)
	c.krpc.collect(e, t)
	c.socket.collect(e, t)
	c.store.collect(e, c.src.Trackers)
	c.items.collect(e, c.src.Items)
	c.log.collect(e, c.src.Journals)
	c.foes.collect(e, t)
}

// descs are the descriptions of all metrics.
type descs []*prometheus.Desc

// add describes the metric kadnode_name.
func (d *descs) add(name, help string, labels ...string) *prometheus.Desc {
	desc := prometheus.NewDesc("kadnode_"+name, help, labels, nil)
	*d = append(*d, desc)
	return desc
}

// emitter sends metrics to a scrape. That the labels fit the description is up to
// the program, so that an error is a broken invariant.
type emitter chan<- prometheus.Metric

func (e emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (e emitter) count(d *prometheus.Desc, v int, labels ...string) {
	e.gauge(d, float64(v), labels...)
}

// histogram sends s; Prometheus counts cumulatively.
func (e emitter) histogram(d *prometheus.Desc, s krpc.HistogramSnapshot, labels ...string) {
	buckets := make(map[float64]uint64, len(s.Bounds))
	var sum uint64
	for i, bound := range s.Bounds {
		sum += s.Counts[i]
		buckets[bound] = sum
	}
	e <- prometheus.MustNewConstHistogram(d, s.Count(), s.Sum, buckets, labels...)
}

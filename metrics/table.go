package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// tableMetrics are about the routing tables, by address family.
type tableMetrics struct {
	bucket, bucketLimit, nodes, limit, spares, verifying, maxVerifying, remembered, maxRemembered, recent, maxRecent *prometheus.Desc
}

func newTableMetrics(d *descs) tableMetrics {
	return tableMetrics{
		bucket:       d.add("bucket_nodes", "Contacts in a k-bucket of the routing table; bucket is the number of leading bits shared with the own id, and more for the last one.", "family", "bucket"),
		bucketLimit:  d.add("bucket_limit_nodes", "Contacts that fit into a k-bucket; the first ones are wider than the others.", "family", "bucket"),
		nodes:        d.add("table_nodes", "Contacts in the routing table by their state (BEP 5).", "family", "state"),
		limit:        d.add("table_limit_nodes", "Contacts that fit into the buckets that there are.", "family"),
		spares:       d.add("table_spare_nodes", "Contacts in the replacement caches of the buckets.", "family"),
		verifying:    d.add("table_verifying", "Strangers that wait for a ping.", "family"),
		maxVerifying: d.add("table_verifying_limit", "Most strangers that may wait for a ping.", "family"),

		remembered:    d.add("remembered_contacts", "Contacts that have answered and that lookups may start from, beside those in the routing table.", "family"),
		maxRemembered: d.add("remembered_contacts_limit", "Most such contacts; when a set is full, the one that answered longest ago goes.", "family"),
		recent:        d.add("recent_lookups", "Lookups that have ended, whose tokens an announce of the same target may use.", "family"),
		maxRecent:     d.add("recent_lookups_limit", "Most such lookups; the oldest goes.", "family"),
	}
}

func (m *tableMetrics) collect(e emitter, t *total) {
	t.eachFamily(func(family string, f *familyTotal) {
		var good, questionable, bad, spares, capacity int
		for i, b := range f.buckets {
			bucket := strconv.Itoa(i)
			e.count(m.bucket, b.Good+b.Questionable+b.Bad, family, bucket)
			e.count(m.bucketLimit, b.Capacity, family, bucket)
			good += b.Good
			questionable += b.Questionable
			bad += b.Bad
			spares += b.Spares
			capacity += b.Capacity
		}
		e.count(m.nodes, good, family, "good")
		e.count(m.nodes, questionable, family, "questionable")
		e.count(m.nodes, bad, family, "bad")
		e.count(m.limit, capacity, family)
		e.count(m.spares, spares, family)
		e.count(m.verifying, f.verifying, family)
		e.count(m.maxVerifying, f.maxVerifying, family)
		e.count(m.remembered, f.remembered, family)
		e.count(m.maxRemembered, f.maxRemembered, family)
		e.count(m.recent, f.recent, family)
		e.count(m.maxRecent, f.maxRecent, family)
	})
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// lookupMetrics are about the iterative lookups, by kind.
type lookupMetrics struct {
	hops, seconds, messages, active *prometheus.Desc
}

func newLookupMetrics(d *descs) lookupMetrics {
	return lookupMetrics{
		hops:     d.add("lookup_hops", "Hops to the closest node that a lookup found: 1 for a contact of the own table or memory.", "kind"),
		seconds:  d.add("lookup_seconds", "Duration of lookups.", "kind"),
		messages: d.add("lookup_messages", "Queries sent by a lookup.", "kind"),
		active:   d.add("lookups_active", "Lookups under way."),
	}
}

func (m *lookupMetrics) collect(e emitter, t *total) {
	for i := range t.lookups {
		l := &t.lookups[i]
		e.histogram(m.hops, l.Hops, l.Kind.String())
		e.histogram(m.seconds, l.Seconds, l.Kind.String())
		e.histogram(m.messages, l.Messages, l.Kind.String())
	}
	e.count(m.active, t.active)
}

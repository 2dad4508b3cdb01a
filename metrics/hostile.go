package metrics

import "github.com/prometheus/client_golang/prometheus"

// hostileMetrics are about what the nodes do against attackers.
type hostileMetrics struct {
	alarms, keys, maxKeys       *prometheus.Desc
	brief, proven, provenLimits *prometheus.Desc
	asked, askedLimits          *prometheus.Desc
	held, holding, maxHolding   *prometheus.Desc
}

func newHostileMetrics(d *descs) hostileMetrics {
	return hostileMetrics{
		alarms:       d.add("sybil_alarms_total", "Lookups that found more nodes close to their target than chance explains."),
		keys:         d.add("sybil_keys", "Targets of lookups for which that was so within the last hour, own ids among them."),
		maxKeys:      d.add("sybil_keys_limit", "Most such targets that are remembered; the one that was found so longest ago goes."),
		brief:        d.add("krpc_brief_replies_total", "Queries answered briefly, because the source had not proved its address, and more came in than could be answered or the value of an item was too long for it."),
		held:         d.add("krpc_held_total", "Queries whose answer, with the value of an item, was too long for a source that had not proved its address: it is asked for an answer to a ping first."),
		holding:      d.add("krpc_held", "Such queries that wait for that answer."),
		maxHolding:   d.add("krpc_held_limit", "Most such queries; the oldest is then answered with what fits."),
		proven:       d.add("proven_addresses", "Addresses that have answered a query, or sent back a token, within half an hour."),
		asked:        d.add("asked_addresses", "Addresses that have asked within half an hour: before a flood, or again and again in it."),
		askedLimits:  d.add("asked_addresses_limit", "Most such addresses; of the four places that one may take, the oldest is given away."),
		provenLimits: d.add("proven_addresses_limit", "Most such addresses; of the four places that one may take, the oldest is given away."),
	}
}

func (m *hostileMetrics) collect(e emitter, t *total) {
	e.counter(m.alarms, t.alarms)
	e.count(m.keys, t.alarmed)
	e.count(m.maxKeys, t.maxAlarmed)
	e.counter(m.brief, t.endpoint.Brief)
	e.count(m.proven, t.endpoint.Proven)
	e.count(m.provenLimits, t.endpoint.ProvenCells)
	e.count(m.asked, t.endpoint.Asked)
	e.count(m.askedLimits, t.endpoint.AskedCells)
	e.counter(m.held, t.endpoint.Held)
	e.count(m.holding, t.endpoint.Holding)
	e.count(m.maxHolding, t.endpoint.MaxHolding)
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// hostileMetrics are about what the nodes do against attackers.
type hostileMetrics struct {
	alarms, keys, maxKeys       *prometheus.Desc
	brief, proven, provenLimits *prometheus.Desc
}

func newHostileMetrics(d *descs) hostileMetrics {
	return hostileMetrics{
		alarms:       d.add("sybil_alarms_total", "Lookups that found more nodes close to their target than chance explains."),
		keys:         d.add("sybil_keys", "Targets of lookups for which that was so within the last hour, own ids among them."),
		maxKeys:      d.add("sybil_keys_limit", "Most such targets that are remembered; the one that was found so longest ago goes."),
		brief:        d.add("krpc_brief_replies_total", "Queries answered briefly, because more came in than could be answered and the source had not proved its address."),
		proven:       d.add("proven_addresses", "Addresses that have answered a query, or sent back a token, within half an hour."),
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
}

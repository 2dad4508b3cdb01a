package metrics

import "github.com/prometheus/client_golang/prometheus"

// nodeMetrics are about the program and its nodes as a whole.
type nodeMetrics struct {
	build, nodes, joined, network, networkLookups, idChanges, tokensRefused, blocklist *prometheus.Desc
}

func newNodeMetrics(d *descs) nodeMetrics {
	return nodeMetrics{
		build:          d.add("build_info", "Always 1; the labels say what runs.", "version", "goversion", "revision"),
		nodes:          d.add("nodes", "DHT nodes of this program, one for each address listened on.", "family"),
		joined:         d.add("nodes_joined", "DHT nodes of this program that have found others, or have nobody to find.", "family"),
		network:        d.add("network_nodes", "Estimated number of other nodes in the DHT that answer, the mean of what ours see; 0: not known yet.", "family"),
		networkLookups: d.add("network_lookups", "Lookups that this estimate rests on, of all nodes of ours; older ones fade.", "family"),
		idChanges:      d.add("node_id_changes_total", "Changes of a node id because the external address changed (BEP 42)."),
		tokensRefused:  d.add("tokens_refused_total", "Stores refused for a token that is wrong or too old."),
		blocklist:      d.add("blocklist_ranges", "Address ranges on the blocklist, after merging."),
	}
}

func (m *nodeMetrics) collect(e emitter, src *Sources, t *total) {
	e.gauge(m.build, 1, src.Build.Version, src.Build.GoVersion, src.Build.Revision)
	t.eachFamily(func(family string, f *familyTotal) {
		e.count(m.nodes, f.nodes, family)
		e.count(m.joined, f.joined, family)
		e.gauge(m.network, f.networkNodes(), family)
		e.count(m.networkLookups, f.sizeLookups, family)
	})
	e.counter(m.idChanges, t.idChanges)
	e.counter(m.tokensRefused, t.refused)
	e.count(m.blocklist, src.Blocklist.Len())
}

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kadnode/kadnode/tracker"
)

// trackerMetrics are about the swarms that are kept for others, and the
// info-hashes that are announced for the user.
type trackerMetrics struct {
	swarms, maxSwarms, peers, seeds    *prometheus.Desc
	bytes, maxBytes                    *prometheus.Desc
	refused, replaced, evicted, expire *prometheus.Desc
	withheld, rejected                 *prometheus.Desc
	announces, tracked, maxTracked     *prometheus.Desc
	announcing, lag, round             *prometheus.Desc
	scrapes, filters, maxFilters       *prometheus.Desc
	sampled, samples, renewals         *prometheus.Desc
}

func newTrackerMetrics(d *descs) trackerMetrics {
	return trackerMetrics{
		swarms:     d.add("swarms", "Info-hashes with peers that announced themselves here."),
		maxSwarms:  d.add("swarms_limit", "Most info-hashes that are kept."),
		peers:      d.add("swarm_peers", "Peers kept, seeds included.", "family"),
		seeds:      d.add("swarm_seeds", "Seeds kept (BEP 33).", "family"),
		bytes:      d.add("store_bytes", "Memory that a store is charged for.", "store"),
		maxBytes:   d.add("store_limit_bytes", "Most memory that a store may take.", "store"),
		refused:    d.add("swarm_refused_total", "Announces refused and tokens withheld: the store is full, or the swarm has its fill of one subnet.", "reason"),
		replaced:   d.add("swarm_peers_replaced_total", "Peers whose place another one took in a full swarm."),
		evicted:    d.add("swarms_evicted_total", "Info-hashes that went, for want of room, while they still had peers."),
		expire:     d.add("swarm_peers_expired_total", "Peers forgotten because they did not announce themselves again."),
		withheld:   d.add("tokens_withheld_total", "get_peers replies without a token because an announce would be refused."),
		rejected:   d.add("announces_rejected_total", "announce_peer queries with a good token, but no room."),
		scrapes:    d.add("scrapes_total", "Scrapes of swarms kept here (BEP 33): answered with filters, or refused them because too many large swarms were scraped at once.", "result"),
		filters:    d.add("scrape_filters", "Large swarms whose filters are kept for scrapes."),
		maxFilters: d.add("scrape_filters_limit", "Most large swarms whose filters are kept for scrapes."),
		announces:  d.add("announces_total", "Announces made: stored by some node, or failed.", "result"),
		tracked:    d.add("tracked_hashes", "Info-hashes that this program keeps announcing."),
		maxTracked: d.add("tracked_hashes_limit", "Most info-hashes that this program keeps announcing."),
		announcing: d.add("tracked_announcing", "Info-hashes that are being announced."),
		sampled:    d.add("sampled_hashes", "Info-hashes in the sample that sample_infohashes is answered from (BEP 51)."),
		samples:    d.add("samples_total", "Info-hashes handed out in samples."),
		renewals:   d.add("sample_renewals_total", "Samples of the info-hashes drawn."),
		lag:        d.add("tracked_lag_seconds", "How long the info-hash that is due longest has waited to be announced."),
		round:      d.add("tracked_round_seconds", "How long it took to come round to the info-hash that was announced last: an interval, unless announces are late."),
	}
}

func (m *trackerMetrics) collect(e emitter, trackers []*tracker.Tracker) {
	if len(trackers) == 0 {
		return
	}
	var t tracker.Stats
	for _, tr := range trackers {
		addTracker(&t, tr.Stats())
	}
	s := &t.Swarms
	e.count(m.swarms, s.Hashes)
	e.count(m.maxSwarms, s.MaxHashes)
	e.count(m.peers, s.Peers4, familyNames[0])
	e.count(m.peers, s.Peers6, familyNames[1])
	e.count(m.seeds, s.Seeds4, familyNames[0])
	e.count(m.seeds, s.Seeds6, familyNames[1])
	e.gauge(m.bytes, float64(s.Bytes), "peers")
	e.gauge(m.maxBytes, float64(s.MaxBytes), "peers")
	e.counter(m.refused, s.RefusedFull, "full")
	e.counter(m.refused, s.RefusedSubnet, "subnet")
	e.counter(m.replaced, s.Replaced)
	e.counter(m.evicted, s.Evicted)
	e.counter(m.expire, s.Expired)
	e.counter(m.withheld, t.TokensWithheld)
	e.counter(m.rejected, t.AnnouncesRefused)
	e.counter(m.scrapes, t.Scrapes, "answered")
	e.counter(m.scrapes, s.ScrapesRefused, "refused")
	e.count(m.filters, s.Filters)
	e.count(m.maxFilters, s.MaxFilters)
	e.counter(m.announces, t.Announces-t.AnnouncesFailed, "stored")
	e.counter(m.announces, t.AnnouncesFailed, "failed")
	e.count(m.sampled, t.SampledHashes)
	e.counter(m.samples, t.SamplesServed)
	e.counter(m.renewals, t.SampleRenewals)
	e.count(m.announcing, t.Announcing)
	e.gauge(m.lag, t.AnnounceLag.Seconds())
	e.gauge(m.round, t.AnnounceRound.Seconds())
	e.count(m.tracked, t.Tracked)
	e.count(m.maxTracked, t.MaxTracked)
}

func addTracker(t *tracker.Stats, s tracker.Stats) {
	a, b := &t.Swarms, &s.Swarms
	a.Hashes += b.Hashes
	a.MaxHashes += b.MaxHashes
	a.Peers4 += b.Peers4
	a.Seeds4 += b.Seeds4
	a.Peers6 += b.Peers6
	a.Seeds6 += b.Seeds6
	a.Bytes += b.Bytes
	a.MaxBytes += b.MaxBytes
	a.RefusedFull += b.RefusedFull
	a.RefusedSubnet += b.RefusedSubnet
	a.Replaced += b.Replaced
	a.Evicted += b.Evicted
	a.Expired += b.Expired
	a.Filters += b.Filters
	a.MaxFilters += b.MaxFilters
	a.ScrapesRefused += b.ScrapesRefused
	t.Tracked += s.Tracked
	t.MaxTracked += s.MaxTracked
	t.Announcing += s.Announcing
	t.AnnounceLag = max(t.AnnounceLag, s.AnnounceLag)
	t.AnnounceRound = max(t.AnnounceRound, s.AnnounceRound)
	t.Announces += s.Announces
	t.AnnouncesFailed += s.AnnouncesFailed
	t.TokensWithheld += s.TokensWithheld
	t.AnnouncesRefused += s.AnnouncesRefused
	t.Scrapes += s.Scrapes
	t.SampledHashes += s.SampledHashes
	t.SamplesServed += s.SamplesServed
	t.SampleRenewals += s.SampleRenewals
}

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kadnode/kadnode/kademlia/store"
)

// itemsMetrics are about the items of BEP 44: those kept for others, and those that the
// user has put again and again.
type itemsMetrics struct {
	items           *prometheus.Desc
	bytes, maxBytes *prometheus.Desc
	puts, gets      *prometheus.Desc
	evicted, expire *prometheus.Desc

	republished, handedOver *prometheus.Desc
	newcomers, maxNewcomers *prometheus.Desc
	copies, updates         *prometheus.Desc
	spreading, maxSpreading *prometheus.Desc

	kept, maxKept, keeping *prometheus.Desc
	keepLag                *prometheus.Desc
	keepPuts, keepOutdated *prometheus.Desc
}

// newItemsMetrics describes what is about items alone; how full a store is, t has
// described.
func newItemsMetrics(d *descs, t *trackerMetrics) itemsMetrics {
	return itemsMetrics{
		items:    d.add("items", "Items kept for others (BEP 44).", "kind"),
		bytes:    t.bytes,
		maxBytes: t.maxBytes,
		puts:     d.add("item_puts_total", "put queries by what became of the item: stored, refreshed, ignored since its life was over, or else the reason for which it was refused.", "result"),
		gets:     d.add("item_gets_total", "get queries by what they were answered with: an item (hit), its seq alone (not_newer), or nodes alone (miss).", "result"),
		evicted:  d.add("items_evicted_total", "Items that went, for want of room, for others nearer to the node."),
		expire:   d.add("items_expired_total", "Items forgotten because nobody put them again."),

		republished:  d.add("items_republished_total", "Items of others that this node put again when they were due."),
		handedOver:   d.add("items_handed_over_total", "Items that were given to new nodes near to them."),
		newcomers:    d.add("items_newcomers", "New nodes that are being given items."),
		maxNewcomers: d.add("items_newcomers_limit", "Most new nodes that are given items at a time."),
		copies:       d.add("item_copies_left_total", "Copies that gets of this program have left at the closest node without the item."),
		updates:      d.add("items_updated_total", "Nodes that had an older version, and were given the newer by gets of this program."),
		spreading:    d.add("items_spreading", "Copies and updates under way."),
		maxSpreading: d.add("items_spreading_limit", "Most copies and updates under way."),

		kept:         d.add("published_items", "Items that this program keeps putting."),
		maxKept:      d.add("published_items_limit", "Most items that this program keeps putting."),
		keeping:      d.add("published_items_putting", "Items that are being put."),
		keepLag:      d.add("published_items_lag_seconds", "How long the item that is due longest has waited to be put."),
		keepPuts:     d.add("published_items_puts_total", "Puts of the items that this program keeps putting: stored by some node, or failed.", "result"),
		keepOutdated: d.add("published_items_outdated_total", "Items that this program no longer puts, since somebody else with the key has put a newer version."),
	}
}

func (m *itemsMetrics) collect(e emitter, items []*store.Items) {
	if len(items) == 0 {
		return
	}
	var t store.Stats
	for _, it := range items {
		s := it.Stats()
		addItems(&t, &s)
	}
	e.count(m.items, t.Immutable, "immutable")
	e.count(m.items, t.Mutable, "mutable")
	e.gauge(m.bytes, float64(t.Bytes), "items")
	e.gauge(m.maxBytes, float64(t.MaxBytes), "items")
	e.counter(m.gets, t.GetsHit, "hit")
	e.counter(m.gets, t.GetsNotNewer, "not_newer")
	e.counter(m.gets, t.GetsMissed, "miss")
	e.counter(m.puts, t.PutsStored, "stored")
	e.counter(m.puts, t.PutsRefreshed, "refreshed")
	e.counter(m.puts, t.PutsIgnored, "ignored")
	for reason, n := range t.PutsRefused {
		e.counter(m.puts, n, store.Refusal(reason).String())
	}
	e.counter(m.evicted, t.Evicted)
	e.counter(m.expire, t.Expired)
	e.counter(m.republished, t.Republished)
	e.counter(m.handedOver, t.HandedOver)
	e.count(m.newcomers, t.Newcomers)
	e.count(m.maxNewcomers, t.MaxNewcomers)
	e.counter(m.copies, t.CopiesLeft)
	e.counter(m.updates, t.Updated)
	e.count(m.spreading, t.Spreading)
	e.count(m.maxSpreading, t.MaxSpreading)
	e.count(m.kept, t.Kept)
	e.count(m.maxKept, t.MaxKept)
	e.count(m.keeping, t.Keeping)
	e.gauge(m.keepLag, t.KeepLag.Seconds())
	e.counter(m.keepPuts, t.KeepPuts-t.KeepFailed, "stored")
	e.counter(m.keepPuts, t.KeepFailed, "failed")
	e.counter(m.keepOutdated, t.KeepOutdated)
}

func addItems(t, s *store.Stats) {
	t.Immutable += s.Immutable
	t.Mutable += s.Mutable
	t.Bytes += s.Bytes
	t.MaxBytes += s.MaxBytes
	t.GetsHit += s.GetsHit
	t.GetsNotNewer += s.GetsNotNewer
	t.GetsMissed += s.GetsMissed
	t.PutsStored += s.PutsStored
	t.PutsRefreshed += s.PutsRefreshed
	t.PutsIgnored += s.PutsIgnored
	for i, n := range s.PutsRefused {
		t.PutsRefused[i] += n
	}
	t.Evicted += s.Evicted
	t.Expired += s.Expired
	t.Republished += s.Republished
	t.HandedOver += s.HandedOver
	t.Newcomers += s.Newcomers
	t.MaxNewcomers += s.MaxNewcomers
	t.CopiesLeft += s.CopiesLeft
	t.Updated += s.Updated
	t.Spreading += s.Spreading
	t.MaxSpreading += s.MaxSpreading
	t.Kept += s.Kept
	t.MaxKept += s.MaxKept
	t.Keeping += s.Keeping
	t.KeepLag = max(t.KeepLag, s.KeepLag)
	t.KeepPuts += s.KeepPuts
	t.KeepFailed += s.KeepFailed
	t.KeepOutdated += s.KeepOutdated
}

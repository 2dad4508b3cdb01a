package scenario

import (
	"fmt"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/tracker"
)

// maxLogBytes is what the files of a small journal come to at most: two logs that are worth a
// snapshot, and one more while it is written.
const maxLogBytes = 3 << 20

// Gauge is the size of something that has a bound.
type Gauge struct {
	Name       string
	Value, Max int64
}

// NodeGauges returns what a node holds that has a bound.
func NodeGauges(s *kademlia.Stats) []Gauge {
	gauges := []Gauge{
		gauge("remembered contacts", s.Remembered, s.MaxRemembered),
		gauge("recent lookups", s.RecentLookups, s.MaxRecent),
		gauge("strangers to verify", s.Verifying, s.MaxVerifying),
		gauge("pending queries", s.Endpoint.Pending, s.Endpoint.MaxPending),
		gauge("queries that are held", s.Endpoint.Holding, s.Endpoint.MaxHolding),
		gauge("known remotes", s.Endpoint.Remotes.Known, s.Endpoint.Remotes.MaxKnown),
		gauge("limiter cells", s.Endpoint.LimiterBusy, s.Endpoint.LimiterCells),
	}
	const maxSpares = 8
	for _, b := range s.Buckets {
		gauges = append(gauges,
			gauge("contacts of a bucket", b.Good+b.Questionable+b.Bad, b.Capacity),
			gauge("replacements of a bucket", b.Spares, maxSpares))
	}
	return gauges
}

// TrackerGauges returns what a tracker holds that has a bound.
func TrackerGauges(s *tracker.Stats) []Gauge {
	return []Gauge{
		gauge("info-hashes", s.Swarms.Hashes, s.Swarms.MaxHashes),
		{"bytes of swarms", s.Swarms.Bytes, s.Swarms.MaxBytes},
		gauge("filters", s.Swarms.Filters, s.Swarms.MaxFilters),
		gauge("tracked info-hashes", s.Tracked, s.MaxTracked),
		gauge("announces under way", s.Announcing, s.Tracked),
	}
}

// ItemGauges returns what an Items holds that has a bound.
func ItemGauges(s *store.Stats) []Gauge {
	return []Gauge{
		{"bytes of items", s.Bytes, s.MaxBytes},
		gauge("stores left behind by gets", s.Spreading, s.MaxSpreading),
		gauge("newcomers that are given items", s.Newcomers, s.MaxNewcomers),
		gauge("items kept", s.Kept, s.MaxKept),
		gauge("items being put", s.Keeping, s.Kept),
	}
}

// JournalGauges returns what a journal of a small state has on its disk.
func JournalGauges(s *journal.Stats) []Gauge {
	if s.Err != nil {
		return nil // a disk that fails is not written to
	}
	return []Gauge{{"bytes of logs", s.LogBytes, max(maxLogBytes, 3*s.SnapshotBytes)}}
}

func gauge(name string, value, most int) Gauge { return Gauge{name, int64(value), int64(most)} }

// CheckBounds returns an error that names the first gauge that is negative or above its bound.
func CheckBounds(gauges []Gauge) error {
	for _, g := range gauges {
		if g.Value < 0 || g.Value > g.Max {
			return fmt.Errorf("scenario: bounds: %d %s, want 0 to %d", g.Value, g.Name, g.Max)
		}
	}
	return nil
}

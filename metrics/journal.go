package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kadnode/kadnode/journal"
)

// journalMetrics are about what is kept over a restart.
type journalMetrics struct {
	failing, failures       *prometheus.Desc
	records, dropped        *prometheus.Desc
	writes, written         *prometheus.Desc
	syncs, syncTime         *prometheus.Desc
	bytes, snapshots        *prometheus.Desc
	replayed, unknown, lost *prometheus.Desc
}

func newJournalMetrics(d *descs) journalMetrics {
	return journalMetrics{
		failing:   d.add("journal_failing", "1 while what is acknowledged would not outlast this process, because the disk fails; else 0."),
		failures:  d.add("journal_failures_total", "Failures of the disk that left a gap until the next snapshot."),
		records:   d.add("journal_records_total", "Changes that were to be kept over a restart."),
		dropped:   d.add("journal_records_dropped_total", "Changes that were not written, because the disk failed: a snapshot makes up for them."),
		writes:    d.add("journal_writes_total", "Writes to the log."),
		written:   d.add("journal_written_bytes_total", "Bytes written to the log."),
		syncs:     d.add("journal_syncs_total", "Syncs of the log to the disk."),
		syncTime:  d.add("journal_sync_seconds_total", "Time that syncs of the log have taken."),
		bytes:     d.add("journal_bytes", "Bytes of the files that a restart would read: the last snapshot, and the log since.", "file"),
		snapshots: d.add("journal_snapshots_total", "Snapshots written, each of which replaces the log before it."),
		replayed:  d.add("journal_records_replayed_total", "Records that were replayed at the start."),
		unknown:   d.add("journal_records_unknown_total", "Records that were not understood at the start."),
		lost:      d.add("journal_damaged_bytes", "Bytes that were left out at the start: damaged, or not written to their end."),
	}
}

func (m *journalMetrics) collect(e emitter, journals []*journal.Log) {
	if len(journals) == 0 {
		return
	}
	var t journal.Stats
	failing := 0
	for _, l := range journals {
		s := l.Stats()
		if s.Err != nil {
			failing = 1
		}
		addJournal(&t, &s)
	}
	e.count(m.failing, failing)
	e.counter(m.failures, t.Failures)
	e.counter(m.records, t.Records)
	e.counter(m.dropped, t.Dropped)
	e.counter(m.writes, t.Writes)
	e.counter(m.written, t.WrittenBytes)
	e.counter(m.syncs, t.Syncs)
	e <- prometheus.MustNewConstMetric(m.syncTime, prometheus.CounterValue, t.SyncTime.Seconds())
	e.gauge(m.bytes, float64(t.LogBytes), "log")
	e.gauge(m.bytes, float64(t.SnapshotBytes), "snapshot")
	e.counter(m.snapshots, t.Snapshots)
	e.counter(m.replayed, t.Replayed)
	e.counter(m.unknown, t.NotReplayed)
	e.gauge(m.lost, float64(t.DamagedBytes))
}

// addJournal adds s to t.
func addJournal(t, s *journal.Stats) {
	t.Failures += s.Failures
	t.Records += s.Records
	t.Dropped += s.Dropped
	t.Writes += s.Writes
	t.WrittenBytes += s.WrittenBytes
	t.Syncs += s.Syncs
	t.SyncTime += s.SyncTime
	t.LogBytes += s.LogBytes
	t.SnapshotBytes += s.SnapshotBytes
	t.Snapshots += s.Snapshots
	t.Replayed += s.Replayed
	t.NotReplayed += s.NotReplayed
	t.DamagedBytes += s.DamagedBytes
}

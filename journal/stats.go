package journal

import (
	"sync/atomic"
	"time"
)

type counters struct {
	writes, written       atomic.Uint64
	syncs, syncNanos      atomic.Uint64
	snapshots, failures   atomic.Uint64
	replayed, notReplayed atomic.Uint64
	damaged               atomic.Int64
	logBytes, snapshot    atomic.Int64
}

// Stats is a snapshot of a Log.
type Stats struct {
	Records uint64 // that were appended
	Dropped uint64 // of these: not written, since the disk fails or is too slow

	Writes        uint64
	WrittenBytes  uint64        // to logs
	Syncs         uint64        // of logs
	SyncTime      time.Duration // spent in these
	Snapshots     uint64        // that were written
	Failures      uint64        // of the disk, that left a gap until the next snapshot
	LogBytes      int64         // that no snapshot has replaced
	SnapshotBytes int64         // of the last one

	Replayed     uint64 // records
	NotReplayed  uint64 // that were not understood
	DamagedBytes int64  // that were left out, of writes that did not end, too

	Err error // as Log.Err returns it
}

// Stats returns the counters and gauges.
func (l *Log) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	c := &l.counters
	s := Stats{
		Writes:        c.writes.Load(),
		WrittenBytes:  c.written.Load(),
		Syncs:         c.syncs.Load(),
		SyncTime:      time.Duration(c.syncNanos.Load()),
		Snapshots:     c.snapshots.Load(),
		Failures:      c.failures.Load(),
		Replayed:      c.replayed.Load(),
		NotReplayed:   c.notReplayed.Load(),
		DamagedBytes:  c.damaged.Load(),
		LogBytes:      c.logBytes.Load(),
		SnapshotBytes: c.snapshot.Load(),
		Err:           l.Err(),
	}
	l.mu.Lock()
	s.Records, s.Dropped = l.appended, l.dropped
	l.mu.Unlock()
	return s
}

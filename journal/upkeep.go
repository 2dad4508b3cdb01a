package journal

import (
	"context"
	"sync"
	"time"
)

const (
	// minLog is the size in bytes that a log has before it is worth a snapshot.
	minLog = 1 << 20
	// maxLogs is the same for their number: each start begins one.
	maxLogs = 16
	// maxRest bounds the time between two tries to have a disk that fails take a snapshot.
	maxRest = 5 * time.Second
)

// Run syncs and compacts the log, and makes it whole again after the disk has failed, until ctx
// ends.
func (l *Log) Run(ctx context.Context) {
	if l == nil {
		return
	}
	var compaction sync.WaitGroup
	defer compaction.Wait()
	every := time.Second
	if l.cfg.Sync > 0 {
		every = min(every, l.cfg.Sync)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	synced, rest := time.Now(), time.Duration(0)
	var next time.Time // when to try again what has failed
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-ticker.C:
			l.Commit()
			if l.cfg.Sync > 0 && time.Since(synced) >= l.cfg.Sync-every/2 {
				l.Sync()
				synced = time.Now()
			}
		}
		now := time.Now()
		if l.health() == nil {
			rest = 0
		} else if now.Before(next) {
			continue
		}
		if l.mayCompact() {
			rest = min(2*rest+time.Second, maxRest)
			next = now.Add(rest)
			compaction.Go(func() { l.compact() })
		}
	}
}

// Sync has what was written survive a crash of the machine.
func (l *Log) Sync() {
	if l == nil {
		return
	}
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	l.writing.Lock()
	f := l.file
	if f == nil || !f.dirty {
		l.writing.Unlock()
		return
	}
	f.dirty = false
	l.writing.Unlock() // others go on to write
	if err := l.syncFile(f); err != nil {
		l.writing.Lock()
		defer l.writing.Unlock()
		if l.file == f {
			l.fail(err, 0)
		}
	}
}

// syncFile is f.Sync with its time taken.
func (l *Log) syncFile(f File) error {
	start := time.Now()
	l.syncingSince.begin()
	err := f.Sync()
	l.syncingSince.end()
	l.counters.syncs.Add(1)
	l.counters.syncNanos.Add(uint64(time.Since(start)))
	return err
}

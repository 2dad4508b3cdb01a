package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// position is how far the files have been replayed.
type position struct {
	highest  uint64            // number of a file that was seen
	snapshot uint64            // the one that was replayed; 0: none
	last     extent            // of it
	logs     map[uint64]extent // from its number on
}

// Load replays what is recorded. The process that records may still be at it: then Start
// replays the rest, which is short.
//
// Damaged parts are left out, which Start logs; an error is one of reading, ErrNewer, or of a
// Load after Start or Close, and says that nothing has been changed.
func (l *Log) Load() error {
	if l == nil {
		return nil
	}
	return l.load(false)
}

// Start replays what was recorded since Load, by a process that has ended, and begins to
// record. If the disk refuses that, the Log says so in Err, goes on, and Run tries again. An
// error is as Load's; it can be tried again.
func (l *Log) Start() error {
	if l == nil {
		return nil
	}
	if err := l.load(true); err != nil {
		return err
	}
	l.removeEmpty()
	l.warn(snapshotName(l.pos.snapshot), l.pos.last)
	l.counters.snapshot.Store(l.pos.last.size())
	for n, at := range l.pos.logs {
		l.warn(logName(n), at)
		l.counters.logBytes.Add(at.size())
	}
	if n := l.counters.notReplayed.Load(); n > 0 {
		l.log.Warn("some records are left out: no part of the program takes them", "records", n)
	}
	l.upkeep.Lock()
	l.number, l.logs, l.compacted = l.pos.highest, len(l.pos.logs), l.cfg.Now()
	l.upkeep.Unlock()
	l.syncFound()
	if _, _, err := l.rotate(); err != nil {
		l.noteGap(err)
	}
	return nil
}

// load replays what was not yet, unless it is too late for that. With last it will be from now on.
func (l *Log) load(last bool) error {
	l.loaded = true
	err := l.tooLate()
	if err == nil {
		err = l.replay()
	}
	if err != nil {
		return fmt.Errorf("journal: load: %w", err)
	}
	if last {
		l.upkeep.Lock()
		l.started = true
		l.upkeep.Unlock()
	}
	return nil
}

// tooLate says why it is too late to load.
func (l *Log) tooLate() error {
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	switch {
	case l.closed:
		return errClosed
	case l.started:
		return errStarted
	}
	return nil
}

// removeEmpty removes the logs without a frame, and by who has ended: each start begins one, and
// programs are started again and again. Nothing needs them, nor their numbers.
func (l *Log) removeEmpty() {
	for _, n := range slices.Sorted(maps.Keys(l.pos.logs)) {
		if at := l.pos.logs[n]; at.empty() && l.cfg.FS.Remove(logName(n)) == nil {
			delete(l.pos.logs, n)
		}
	}
}

// syncFound syncs the logs of the processes before, which may have been killed between a write
// and a sync.
func (l *Log) syncFound() {
	if l.cfg.Sync == SyncNever {
		return
	}
	for _, n := range slices.Sorted(maps.Keys(l.pos.logs)) {
		if err := l.cfg.FS.SyncFile(logName(n)); err != nil {
			l.noteGap(err)
		}
	}
}

// warn logs what is left out of a file for good.
func (l *Log) warn(name string, at extent) {
	if bytes := at.skipped + at.tail; bytes > 0 {
		l.counters.damaged.Add(bytes)
		l.log.Warn("a part of the log is left out: it is damaged, or was not written to its end", "file", name, "bytes", bytes)
	}
}

// replay replays what was not yet. Files that go meanwhile have been replaced by a snapshot,
// with which it begins again.
func (l *Log) replay() error {
	const tries = 5 // nobody takes snapshots that fast
	var err error
	for range tries {
		if err = l.replayOnce(); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func (l *Log) replayOnce() error {
	d, err := l.list()
	if err != nil {
		return err
	}
	if err := l.replaySnapshot(d.snapshots); err != nil {
		return err
	}
	for _, n := range d.logs {
		l.pos.highest = max(l.pos.highest, n)
		if n < l.pos.snapshot {
			continue
		}
		before := l.pos.logs[n]
		at, err := l.replayFile(logName(n), kindLog, before.end)
		if err != nil {
			return err
		}
		at.skipped += before.skipped
		l.pos.logs[n] = at
	}
	return nil
}

// replaySnapshot replays the last of the snapshots that can be read, unless it was already.
func (l *Log) replaySnapshot(numbers []uint64) error {
	for _, n := range slices.Backward(numbers) {
		l.pos.highest = max(l.pos.highest, n)
		if n <= l.pos.snapshot {
			return nil
		}
		at, err := l.replayFile(snapshotName(n), kindSnapshot, 0)
		if err != nil {
			return err
		}
		if at.end == 0 {
			continue
		}
		l.pos.snapshot, l.pos.last = n, at
		maps.DeleteFunc(l.pos.logs, func(log uint64, _ extent) bool { return log < n })
		if !at.whole {
			l.log.Warn("the end of a snapshot is missing", "file", snapshotName(n))
		}
		return nil
	}
	return nil
}

// replayFile replays the frames of a file from offset on. One whose header is damaged or not
// whole has none.
func (l *Log) replayFile(name string, k kind, offset int64) (extent, error) {
	now := l.cfg.Now()
	at, err := readFile(l.cfg.FS, name, k, offset, func(at time.Time, records []byte) { l.replayFrame(records, at, now) })
	switch {
	case errors.Is(err, errShort) && k == kindLog:
		return at, nil // a crash came right after it was made
	case errors.Is(err, errShort), errors.Is(err, errDamaged):
		l.log.Error("a file of the log is left out: its header is damaged", "file", name)
		return at, nil
	case err != nil:
		return at, fmt.Errorf("%s: %w", name, err)
	}
	return at, nil
}

func (l *Log) replayFrame(records []byte, at, now time.Time) {
	for len(records) > 0 {
		tag, record, rest, err := nextRecord(records)
		if err != nil {
			l.counters.notReplayed.Add(1)
			return
		}
		records = rest
		if s := l.states[tag]; s != nil {
			err = s.Replay(record, at, now)
		} else {
			err = errDamaged
		}
		if err != nil {
			l.counters.notReplayed.Add(1)
		} else {
			l.counters.replayed.Add(1)
		}
	}
}

// Close writes and syncs what was appended. What is appended from now on is dropped. It returns
// what Err does. To close again does nothing.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.stopping.Store(true)
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for l.compacting {
		l.idle.Wait()
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.recording = false
	l.mu.Unlock()
	l.write()
	l.settle()
	f := l.file
	if l.file = nil; f == nil {
		return l.health()
	}
	var err error
	if f.dirty && l.cfg.Sync != SyncNever {
		err = l.syncFile(f)
	}
	return errors.Join(l.health(), err, f.Close())
}

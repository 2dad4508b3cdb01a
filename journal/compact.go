package journal

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Compact takes a snapshot that replaces the logs, unless one is being taken. It takes as long
// as it takes to write the state; nobody else waits for it. Before Start it does nothing: memory
// lacks what is on disk.
func (l *Log) Compact() error {
	if l == nil || !l.takeCompaction(func() bool { return true }) {
		return nil
	}
	return l.compact()
}

// mayCompact returns, if a snapshot is due, true: the caller has to call compact then.
func (l *Log) mayCompact() bool { return l.takeCompaction(l.due) }

func (l *Log) takeCompaction(wanted func() bool) bool {
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	if l.compacting || !l.started || l.closed || l.held || !wanted() {
		return false
	}
	l.compacting = true
	return true
}

// due tells, under upkeep, whether a snapshot is worth it: to make up for a gap, or when the
// logs are half as long as the last one, so that all files together are less than three times
// the state also while the next one is being written.
func (l *Log) due() bool {
	return l.health() != nil || l.logs > maxLogs || l.long() ||
		l.cfg.Now().Sub(l.compacted).Abs() > l.cfg.Compact
}

// long tells whether the logs are so long that a snapshot is due.
func (l *Log) long() bool {
	return l.counters.logBytes.Load() > max(minLog, l.counters.snapshot.Load()/2)
}

// Hold has no snapshot taken until it is called with false: another process is to load the
// files. One that was taken between its Load and its Start would not tell it what was removed
// since. It returns when none is being taken.
func (l *Log) Hold(on bool) {
	if l == nil {
		return
	}
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	l.held = on
	for on && l.compacting {
		l.idle.Wait()
	}
}

// compact takes a snapshot, by who has set compacting.
func (l *Log) compact() error {
	number, replaced, err := l.rotate()
	var size int64
	if err == nil {
		size, err = l.writeSnapshot(number)
	}
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	l.compacting = false
	l.idle.Broadcast()
	l.asked.Store(false)
	if err != nil {
		err = fmt.Errorf("journal: snapshot: %w", err)
		if !errors.Is(err, errStopped) {
			l.noteStuck(err)
		}
		return err
	}
	l.logs, l.compacted = 1, l.cfg.Now()
	l.counters.snapshot.Store(size)
	l.counters.logBytes.Add(-replaced)
	l.counters.snapshots.Add(1)
	l.noteWhole()
	l.removeBefore(number)
	return nil
}

// noteStuck takes note that there is no new snapshot.
func (l *Log) noteStuck(err error) {
	l.mu.Lock()
	known := l.failure != nil || l.stuck != nil
	l.stuck = err
	l.mu.Unlock()
	if !known && !l.stopping.Load() {
		l.log.Error("the disk fails: cannot keep the log short; trying again", "err", err)
	}
}

// noteWhole takes note that a snapshot has made up for a gap, if there was one, unless the disk
// has failed again since the log after it began.
func (l *Log) noteWhole() {
	l.mu.Lock()
	failed := l.failure != nil || l.stuck != nil
	if l.stuck = nil; l.recording {
		l.failure = nil
	}
	whole := l.failure == nil
	l.mu.Unlock()
	if failed && whole {
		l.log.Info("the disk works again: all that is in memory is on it")
	}
}

// rotate begins a new log, so that a snapshot can replace those before, and returns its
// number and their bytes. After a snapshot that failed the log that was begun for it will do.
func (l *Log) rotate() (number uint64, replaced int64, err error) {
	l.upkeep.Lock()
	defer l.upkeep.Unlock()
	l.mu.Lock()
	again := l.stuck != nil && l.recording && l.begun == l.number
	l.mu.Unlock()
	if again {
		return l.number, l.replaced, nil
	}
	if l.number+1 >= maxNumber {
		return 0, 0, errNumber
	}
	l.number++
	next, err := l.create(logName(l.number), kindLog)
	if err != nil {
		return 0, 0, err
	}
	old := l.begin(next)
	l.begun = l.number
	l.logs++
	if old != nil {
		if l.cfg.Sync != SyncNever {
			err = l.syncFile(old)
		}
		old.Close()
	}
	if err != nil {
		l.noteGap(err) // until the snapshot has what was written lately
	}
	return l.number, l.replaced, nil
}

// begin has what is not written yet, and all from now on, written to next, and returns the file
// before.
func (l *Log) begin(next *file) (old *file) {
	l.writing.Lock()
	defer l.writing.Unlock()
	old, l.file = l.file, next
	l.replaced = l.counters.logBytes.Load() // while nobody adds to it
	l.counters.logBytes.Add(next.size)
	l.mu.Lock()
	l.recording = true
	l.mu.Unlock()
	return old
}

// create makes a file with a header, which outlasts a crash of the machine.
func (l *Log) create(name string, k kind) (*file, error) {
	f, err := l.cfg.FS.Create(name)
	if err != nil {
		return nil, err
	}
	s := salt(l.cfg.Rand.Uint64())
	n, err := f.Write(appendFileHeader(nil, k, s))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.cfg.FS.Sync()
	}
	if err != nil {
		f.Close()
		l.cfg.FS.Remove(name) // or the next snapshot does
		return nil, err
	}
	return &file{File: f, name: name, salt: s, size: int64(n)}, nil
}

// writeSnapshot writes the snapshot that replaces the logs before number.
func (l *Log) writeSnapshot(number uint64) (size int64, err error) {
	const name = "snapshot" + temporary
	l.cfg.FS.Remove(name) // of one that failed
	f, err := l.create(name, kindSnapshot)
	if err != nil {
		return 0, err
	}
	w := snapshotWriter{file: f, at: l.cfg.Now()}
	err = l.writeStates(&w)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		// The log is replayed over the snapshot: were the end of it lost, what it has of earlier
		// would replace what the snapshot has of later.
		l.Commit()
		l.Sync()
		err = l.cfg.FS.Rename(name, snapshotName(number))
	}
	if err != nil {
		l.cfg.FS.Remove(name)
		return 0, err
	}
	return f.size, l.cfg.FS.Sync()
}

func (l *Log) writeStates(w *snapshotWriter) error {
	for _, tag := range l.tags() {
		for record := range l.states[tag].Records(w.at) {
			if l.stopping.Load() {
				return errStopped
			}
			if err := w.add(tag, record); err != nil {
				return err
			}
		}
	}
	return w.end()
}

// tags returns the tags of the states in their order.
func (l *Log) tags() (tags []Tag) {
	for tag := range l.states {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// snapshotWriter writes the frames of a snapshot.
type snapshotWriter struct {
	*file
	at       time.Time
	frame    []byte
	unsynced int
}

// syncStep is how many bytes of a snapshot are synced at a time: the log, which others wait
// for, shares the disk with it.
const syncStep = 4 << 20

func (w *snapshotWriter) add(tag Tag, record []byte) error {
	if len(record) > MaxRecord {
		return fmt.Errorf("tag %d: a record of %d bytes", tag, len(record))
	}
	if len(w.frame) == 0 {
		w.frame = append(w.frame, make([]byte, frameHeaderLen)...)
	}
	w.frame = appendRecord(w.frame, tag, record)
	if len(w.frame) < snapshotFrame {
		return nil
	}
	return w.flush()
}

func (w *snapshotWriter) flush() error {
	w.salt.sealFrame(w.frame, w.size, w.at)
	n, err := w.Write(w.frame)
	w.size += int64(n)
	w.unsynced += n
	w.frame = w.frame[:0]
	if err == nil && w.unsynced >= syncStep {
		w.unsynced = 0
		err = w.Sync()
	}
	return err
}

// end writes what is left, and a frame without records: the snapshot is whole.
func (w *snapshotWriter) end() error {
	if len(w.frame) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.frame = make([]byte, frameHeaderLen)
	if err := w.flush(); err != nil {
		return err
	}
	return w.Sync()
}

// removeBefore removes the files that the snapshot with a number has replaced.
func (l *Log) removeBefore(number uint64) {
	d, err := l.list()
	if err != nil {
		return // the next snapshot does it
	}
	for _, n := range d.logs {
		if n < number {
			l.cfg.FS.Remove(logName(n))
		}
	}
	for _, n := range d.snapshots {
		if n < number {
			l.cfg.FS.Remove(snapshotName(n))
		}
	}
}

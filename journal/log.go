package journal

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// How often a Log syncs: Config.Sync takes a time, or one of these.
const (
	// SyncDefault is each second.
	SyncDefault = time.Duration(0)
	// SyncAlways is with each Commit: what it has written survives a crash of the machine.
	SyncAlways = time.Duration(-1)
	// SyncNever leaves it to the system, which takes half a minute or so.
	SyncNever = time.Duration(-2)
)

var (
	errNumber  = errors.New("there is no number for one more file")
	errFull    = errors.New("more was recorded than could be written")
	errHangs   = errors.New("journal: the disk does not answer")
	errStopped = errors.New("closed meanwhile")
	errStarted = errors.New("the log was started already")
	errClosed  = errors.New("the log was closed")
)

// Config configures a Log.
type Config struct {
	FS  FS               // required, and the Log's alone
	Now func() time.Time // the wall clock; nil: time.Now
	// Rand draws the marks of files, and is the Log's alone. nil, which is not for
	// simulations: an unpredictable source.
	Rand *rand.Rand

	// Sync is the time between two syncs: a crash of the machine loses no more than what was
	// recorded within it. 0: a second.
	Sync time.Duration
	// Compact is how long a snapshot takes the place of its logs at the latest. 0: an hour.
	Compact time.Duration

	Log *slog.Logger // nil: slog.Default()
}

// Log records what changes in States. A nil *Log records nothing.
//
// The order of calls is New, Attach for each State, Load, Start; then Run, with Append and
// Commit by anybody; and Close. Another order is refused: by an error, or in Attach, which has
// none, by a panic. All methods are safe for concurrent use but Attach, Load and
// Start, which are for one goroutine, before all others.
type Log struct {
	cfg    Config
	log    *slog.Logger
	states map[Tag]State
	loaded bool // or about to be: states are complete
	pos    position

	// Readers of sockets meet here; it is never held while anything is read or written.
	mu        sync.Mutex
	frame     []byte // to be written: a header to be, and records
	spare     []byte // the one that was written last
	recording bool   // a file is there to write to
	overflow  bool   // while it was, a record did not fit
	appended  uint64 // records
	dropped   uint64 // of these
	queued    uint64 // of these, in frame
	failure   error  // why what is in memory is not all on disk; nil if it is
	stuck     error  // why the last snapshot was not written; nil if it was

	pending atomic.Bool // something was appended that is not written yet

	// writing is held while a frame is written, and taken before mu.
	writing sync.Mutex
	file    *file // nil while the disk fails, and before Start

	// upkeep is held by who syncs, rotates or ends, and taken before writing.
	upkeep     sync.Mutex
	number     uint64 // of the last log that was begun, or tried to
	begun      uint64 // of the one that is written
	logs       int    // that no snapshot has replaced
	replaced   int64  // bytes of the logs before the last one, that the next snapshot replaces
	compacted  time.Time
	compacting bool
	idle       sync.Cond // compacting has become false
	held       bool
	started    bool
	closed     bool

	writingSince, syncingSince since

	stopping atomic.Bool // closed, or about to be

	wake  chan struct{} // to Run: a snapshot is due
	asked atomic.Bool   // it was told, and no snapshot was taken or tried since

	counters counters
}

// file is the log that is being written.
type file struct {
	File
	name  string
	salt  salt
	size  int64
	dirty bool // it has what is not synced
	used  bool // it has a frame
}

// New returns a Log that records nothing yet.
func New(cfg Config) *Log {
	if cfg.Sync == SyncDefault {
		cfg.Sync = time.Second
	}
	if cfg.Compact == 0 {
		cfg.Compact = time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		var seed [32]byte
		crand.Read(seed[:]) // never fails
		cfg.Rand = rand.New(rand.NewChaCha8(seed))
	}
	l := &Log{cfg: cfg, log: cfg.Log, states: make(map[Tag]State), wake: make(chan struct{}, 1)}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.idle.L = &l.upkeep
	l.pos.logs = make(map[uint64]extent)
	return l
}

// Attach has the records with a tag be those of s. A tag that is taken is a mistake in the
// program, and panics. So does an Attach after Load, which would have left out the records of s.
func (l *Log) Attach(tag Tag, s State) {
	if l == nil {
		return
	}
	if l.loaded {
		panic(fmt.Sprintf("journal: tag %d attached after Load", tag))
	}
	if l.states[tag] != nil {
		panic(fmt.Sprintf("journal: tag %d attached twice", tag))
	}
	l.states[tag] = s
}

// Append records a change that was made in memory. It copies record, which is at most MaxRecord
// bytes long, waits for no disk, and allocates nothing but now and then a larger buffer. Commit
// has it written.
func (l *Log) Append(tag Tag, record []byte) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appended++
	if !l.recording {
		l.dropped++
		return
	}
	if len(l.frame) == 0 {
		l.pending.Store(true)
	}
	if len(record) > MaxRecord || len(l.frame)+len(record) > maxFrame {
		l.dropped++
		l.overflow = true
		return
	}
	if len(l.frame) == 0 {
		var header [frameHeaderLen]byte
		l.frame = append(l.frame, header[:]...)
	}
	l.frame = appendRecord(l.frame, tag, record)
	l.queued++
}

// Commit returns when all that was appended before is written: call it before anybody is told.
// It costs next to nothing if there is nothing to write. Where that fails, the Log says so in
// Err and goes on.
func (l *Log) Commit() {
	if l == nil || !l.pending.Load() {
		return
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.write()
	if l.cfg.Sync == SyncAlways && l.file != nil && l.file.dirty {
		l.file.dirty = false
		if err := l.syncFile(l.file); err != nil {
			l.fail(err, 0)
		}
	}
	l.settle()
}

// write writes the frame, under writing.
func (l *Log) write() {
	l.mu.Lock()
	frame, queued, overflow := l.frame, l.queued, l.overflow
	l.frame, l.spare = l.spare[:0], nil
	l.queued, l.overflow = 0, false
	l.mu.Unlock()

	if len(frame) > 0 {
		if err := l.writeFrame(frame); err != nil {
			l.fail(err, queued)
		}
	}
	if overflow {
		l.fail(errFull, 0)
	}
	l.mu.Lock()
	l.spare = frame[:0]
	l.mu.Unlock()
}

func (l *Log) writeFrame(frame []byte) error {
	f := l.file
	f.salt.sealFrame(frame, f.size, l.cfg.Now())
	f.dirty = true
	l.writingSince.begin()
	n, err := f.Write(frame)
	l.writingSince.end()
	f.size += int64(n)
	l.counters.logBytes.Add(int64(n))
	l.counters.writes.Add(1)
	l.counters.written.Add(uint64(n))
	if err != nil {
		return err
	}
	f.used = true
	if l.long() && l.asked.CompareAndSwap(false, true) {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// settle takes note that what was appended before is written. Until then all who commit wait
// for it, also who did not write it.
func (l *Log) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.frame) == 0 {
		l.pending.Store(false)
	}
}

// fail takes note, under writing, that nothing can be written any more, until there is a new
// log, and that records were lost. A log that has none is removed: while the disk fails there
// may be many.
func (l *Log) fail(err error, lost uint64) {
	if f := l.file; f != nil {
		f.Close()
		if !f.used {
			l.cfg.FS.Remove(f.name)
		}
		l.file = nil
	}
	l.mu.Lock()
	l.recording = false
	l.dropped += lost + l.queued
	l.frame, l.queued = l.frame[:0], 0
	l.mu.Unlock()
	l.noteGap(err)
}

// noteGap takes note that what is in memory is not all on disk, until there is a new snapshot.
func (l *Log) noteGap(err error) {
	l.counters.failures.Add(1)
	l.mu.Lock()
	known := l.failure != nil
	err = fmt.Errorf("journal: %w", err)
	l.failure = err
	l.mu.Unlock()
	if !known {
		l.log.Error("the disk fails: while it does, what is acknowledged would be lost with the process", "err", err)
	}
}

// Err returns why what is in memory is not all on disk, or why the log cannot be kept short, or
// that the disk hangs; nil if all is well, but for what is about to be written. It waits for no disk.
func (l *Log) Err() error {
	if l == nil {
		return nil
	}
	if l.writingSince.long() || l.syncingSince.long() {
		return errHangs
	}
	return l.health()
}

// health is Err, whether or not the disk hangs.
func (l *Log) health() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return l.failure
	}
	return l.stuck
}

// hangs is how long a write or a sync takes that is no longer just slow.
const hangs = 3 * time.Second

// since is when something began that may not end; 0: nothing is under way.
type since struct{ atomic.Int64 }

func (s *since) begin() { s.Store(time.Now().UnixNano()) }
func (s *since) end()   { s.Store(0) }

func (s *since) long() bool {
	at := s.Load()
	return at != 0 && time.Since(time.Unix(0, at)) > hangs
}

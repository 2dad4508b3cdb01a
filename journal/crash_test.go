package journal_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

var (
	seeds     = flag.Int("seeds", 10_000, "how many runs TestNothingCommittedIsLost makes")
	firstSeed = flag.Uint64("seed", 0, "the seed of its first run")
)

// TestNothingCommittedIsLost runs a log through crashes, kills and faults of the disk. After each
// restart, what was committed before a kill or synced before a crash is there, and nothing is
// that was never recorded, or was replaced before.
func TestNothingCommittedIsLost(t *testing.T) {
	n := uint64(*seeds)
	if raceEnabled {
		n = min(n, 1000)
	}
	var next, failed atomic.Uint64
	failed.Store(n)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= failed.Load() {
					return
				}
				if newOrdeal(*firstSeed+i).run() != nil {
					for f := failed.Load(); i < f && !failed.CompareAndSwap(f, i); f = failed.Load() {
					}
				}
			}
		})
	}
	all.Wait()
	if i := failed.Load(); i < n {
		o := newOrdeal(*firstSeed + i)
		o.tracing = true
		err := o.run()
		t.Fatalf("-seed=%d: %v\n%s", o.seed, err, strings.Join(o.trace, "\n"))
	}
}

const (
	pages   = 12
	removal = 1 << 31 // of a page, in a version
)

// book is a State: pages with the version that was last written.
type book struct {
	pages  [pages]uint32 // 0: not there
	during func()        // called by Records between two records
}

func (b *book) Replay(record []byte, _, _ time.Time) error {
	if len(record) < 5 || record[0] >= pages {
		return errors.New("no page")
	}
	b.write(record[0], binary.LittleEndian.Uint32(record[1:]))
	return nil
}

func (b *book) write(page byte, version uint32) {
	if version&removal != 0 {
		version = 0
	}
	b.pages[page] = version
}

func (b *book) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for page := range b.pages {
			b.during()
			if v := b.pages[page]; v != 0 && !yield(pageRecord(byte(page), v)) {
				return
			}
		}
	}
}

func pageRecord(page byte, version uint32) []byte {
	r := binary.LittleEndian.AppendUint32([]byte{page}, version)
	return append(r, make([]byte, version%50)...)
}

// history is what is known of a page: its versions, and which of them must have outlasted
// the end of the process, and of the machine.
type history struct {
	versions        []uint32
	killed, crashed int // index in versions: it or a later one is left
}

// ordeal is a run of a log.
type ordeal struct {
	seed    uint64
	rand    *rand.Rand
	disk    *faultfs.Disk
	sync    time.Duration
	now     time.Time
	log     *journal.Log
	book    *book
	pages   [pages]history
	version uint32
	durable bool // all that is on disk outlasts a crash
	started bool

	tracing bool
	trace   []string
}

func newOrdeal(seed uint64) *ordeal {
	o := &ordeal{
		seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), disk: faultfs.New(seed),
		now: time.Unix(1_600_000_000, 0), durable: true,
	}
	o.sync = []time.Duration{time.Second, time.Second, journal.SyncAlways, journal.SyncNever}[o.rand.IntN(4)]
	for i := range o.pages {
		o.pages[i].versions = []uint32{0}
	}
	return o
}

func (o *ordeal) note(format string, args ...any) {
	if o.tracing {
		o.trace = append(o.trace, fmt.Sprintf(format, args...))
	}
}

func (o *ordeal) chance(percent int) bool { return o.rand.IntN(100) < percent }

func (o *ordeal) run() error {
	o.note("sync %v", o.sync)
	for range 1 + o.rand.IntN(6) {
		if err := o.restart(); err != nil {
			return err
		}
		for range o.rand.IntN(60) {
			if o.disk.Crashed() {
				break
			}
			if err := o.step(); err != nil {
				return err
			}
		}
		o.end()
	}
	o.heal()
	return o.restart()
}

// restart starts processes until one records. The first ones may crash, or fail to read.
func (o *ordeal) restart() error {
	for range o.rand.IntN(3) {
		o.disk.CrashIn(1 + o.rand.IntN(30))
		if up, err := o.start(); err != nil || up && o.log.Err() == nil {
			o.disk.CrashIn(0)
			if o.disk.Crashed() {
				o.end()
				continue
			}
			return err
		}
		o.end()
	}
	o.heal()
	up, err := o.start()
	if err == nil && (!up || o.log.Err() != nil) {
		err = fmt.Errorf("does not start: %v, Err %v", up, o.log.Err())
	}
	return err
}

// start starts a process, and tells whether it is up, or what is wrong with what it has found.
func (o *ordeal) start() (up bool, wrong error) {
	o.started = false
	o.log = journal.New(journal.Config{
		FS: o.disk, Now: func() time.Time { return o.now }, Rand: o.rand, Sync: o.sync,
		Log: slog.New(slog.DiscardHandler),
	})
	o.book = &book{during: func() {
		if o.chance(20) {
			o.change(true)
		}
	}}
	o.log.Attach(7, o.book)
	if err := o.log.Load(); err != nil {
		o.note("load: %v", err)
		return false, nil
	}
	o.note("loaded %v", o.book.pages)
	if err := o.found(); err != nil {
		return false, err
	}
	loaded := o.book.pages
	if err := o.log.Start(); err != nil {
		o.note("start: %v", err)
		return false, nil
	}
	if o.book.pages != loaded {
		return false, fmt.Errorf("start has replayed %v after %v", o.book.pages, loaded)
	}
	o.note("started, Err %v", o.log.Err())
	if o.log.Err() == nil && o.sync != journal.SyncNever {
		o.outlasts(o.last())
	}
	o.started, o.durable = true, false
	return true, nil
}

// found checks what was loaded against the history.
func (o *ordeal) found() error {
	for i := range o.pages {
		h, got := &o.pages[i], o.book.pages[i]
		ok := false
		for _, v := range h.versions[h.killed:] {
			ok = ok || v == got || v&removal != 0 && got == 0
		}
		if !ok {
			return fmt.Errorf("page %d is at version %d; it was at %d", i, got, h.versions[h.killed:])
		}
		if o.durable {
			*h = history{}
		}
		h.versions = append(h.versions, got)
		h.killed = len(h.versions) - 1
	}
	return nil
}

// step does what a program does, or its fate.
func (o *ordeal) step() error {
	o.now = o.now.Add(time.Duration(o.rand.IntN(1000)) * time.Millisecond)
	switch n := o.rand.IntN(100); {
	case n < 70:
		o.change(false)
	case n < 80:
		o.synced()
	case n < 88:
		return o.compact()
	case n < 92:
		o.disk.CrashIn(1 + o.rand.IntN(20))
		o.note("will crash")
	case n < 95:
		o.break_()
	case n < 98:
		o.heal()
		return o.compact()
	case n < 99:
		err := o.log.Close()
		o.note("close: %v", err)
		if err == nil {
			o.committed(o.last())
			if o.sync != journal.SyncNever {
				o.outlasts(o.last())
			}
		}
		o.end()
		return o.restart()
	}
	return nil
}

// change writes or removes a page, or commits, or syncs if it can be.
func (o *ordeal) change(sync bool) {
	switch n := o.rand.IntN(10); {
	case n < 6:
		page := byte(o.rand.IntN(pages))
		o.version++
		v := o.version
		if o.chance(20) {
			v |= removal
		}
		o.book.write(page, v)
		h := &o.pages[page]
		h.versions = append(h.versions, v)
		o.log.Append(7, pageRecord(page, v))
		o.note("page %d: %d", page, v)
	case n < 9 || !sync:
		last := o.last()
		o.log.Commit()
		o.note("commit, Err %v", o.log.Err())
		if o.log.Err() == nil {
			o.committed(last)
			if o.sync == journal.SyncAlways {
				o.outlasts(last)
			}
		}
	default:
		o.synced()
	}
}

func (o *ordeal) synced() {
	o.log.Sync()
	o.note("sync, Err %v", o.log.Err())
	if o.log.Err() == nil && o.sync != journal.SyncNever {
		for i := range o.pages {
			o.pages[i].crashed = o.pages[i].killed
		}
	}
}

// compact takes a snapshot, while the book changes. It fails only if the disk does.
func (o *ordeal) compact() error {
	last := o.last()
	o.note("compact")
	err := o.log.Compact()
	o.note("compacted: %v, Err %v", err, o.log.Err())
	if err == nil && o.log.Err() == nil {
		o.committed(last)
		o.outlasts(last)
	}
	return nil
}

// last returns the number of the last version of each page.
func (o *ordeal) last() (last [pages]int) {
	for i := range o.pages {
		last[i] = len(o.pages[i].versions) - 1
	}
	return last
}

func (o *ordeal) committed(last [pages]int) {
	for i := range o.pages {
		o.pages[i].killed = max(o.pages[i].killed, last[i])
	}
}

func (o *ordeal) outlasts(last [pages]int) {
	for i := range o.pages {
		o.pages[i].crashed = max(o.pages[i].crashed, last[i])
	}
}

// break_ has some operations fail for a while, or the disk be full.
func (o *ordeal) break_() {
	if o.chance(30) {
		o.note("full")
		o.disk.Limit(o.disk.Used() + int64(o.rand.IntN(500)))
		return
	}
	ops := []faultfs.Op{faultfs.Create, faultfs.Write, faultfs.Sync, faultfs.Rename, faultfs.Remove, faultfs.SyncDir}
	only := ops[o.rand.IntN(len(ops))]
	percent := 1 + o.rand.IntN(100)
	o.note("%s fails in %d %%", only, percent)
	o.disk.Fail(func(op faultfs.Op, name string) error {
		if op == only && o.chance(percent) {
			o.note("%s %s fails", op, name)
			return syscall.EIO
		}
		return o.between(op)
	})
}

// heal ends all faults.
func (o *ordeal) heal() {
	o.disk.Limit(-1)
	o.disk.Fail(func(op faultfs.Op, _ string) error { return o.between(op) })
}

// between has the book change in the middle of what the log does, where it holds no lock that
// who commits waits for.
func (o *ordeal) between(op faultfs.Op) error {
	if o.started && (op == faultfs.Create || op == faultfs.Rename || op == faultfs.SyncDir) && o.chance(20) {
		o.change(false)
	}
	return nil
}

// end ends the process, or the machine with it.
func (o *ordeal) end() {
	o.started = false
	if o.chance(50) {
		o.note("kill")
		o.disk.Kill()
		return
	}
	o.note("crash")
	o.disk.Crash()
	o.durable = true
	for i := range o.pages {
		o.pages[i].killed = o.pages[i].crashed
	}
}

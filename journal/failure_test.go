package journal_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

// lines is what a log has logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) to(c *journal.Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }

// want checks that what was logged are lines with these levels.
func (l *lines) want(t *testing.T, levels ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got := strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
	ok := len(got) == len(levels) || len(levels) == 0 && l.b.Len() == 0
	for i := range levels {
		ok = ok && strings.Contains(got[i], "level="+levels[i])
	}
	if !ok {
		t.Errorf("logged %q, want %q", got, levels)
	}
}

// wantKept checks that a new process finds all that w has, and nothing else.
func (w *words) wantKept(t *testing.T, disk *faultfs.Disk) {
	t.Helper()
	_, again := open(t, disk, quiet)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !maps.EqualFunc(w.said, again.said, func(_, _ time.Time) bool { return true }) {
		t.Errorf("%d words are there again, want %d", len(again.said), len(w.said))
	}
}

// only has operations of a kind on files with such names fail.
func only(op faultfs.Op, name string, err error) func(faultfs.Op, string) error {
	return func(o faultfs.Op, n string) error {
		if o == op && strings.Contains(n, name) {
			return err
		}
		return nil
	}
}

func TestTheDiskIsFullForAWhile(t *testing.T) {
	var logged lines
	disk := faultfs.New(1)
	l, w := open(t, disk, logged.to)
	w.say("before")
	l.Commit()
	disk.Limit(disk.Used() + 2000)
	for i := range 3000 {
		w.say(fmt.Sprint("while it is full ", i))
		l.Commit()
		if i%100 == 99 && l.Compact() == nil {
			t.Fatal("a snapshot was written to a full disk")
		}
	}
	if l.Err() == nil {
		t.Fatal("Err says that all is well")
	}
	s := l.Stats()
	if s.Dropped == 0 || s.Records != 3001 || s.Failures == 0 {
		t.Errorf("stats %+v", s)
	}
	if n := len(disk.Files()); n > 2 {
		t.Errorf("%d files", n)
	}
	disk.Limit(-1)
	if err := l.Compact(); err != nil || l.Err() != nil {
		t.Fatalf("Compact: %v, Err: %v", err, l.Err())
	}
	w.say("after")
	l.Commit()
	logged.want(t, "ERROR", "INFO")
	w.wantKept(t, disk)
	disk.Crash()
	open(t, disk, quiet)
}

func TestTheDiskIsReadOnlyAtTheStart(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("kept")
	l.Commit()

	disk.Fail(func(op faultfs.Op, _ string) error {
		switch op {
		case faultfs.Open, faultfs.Read, faultfs.Names:
			return nil
		}
		return syscall.EROFS
	})
	var logged lines
	l, w = open(t, disk, logged.to)
	w.want(t, "kept")
	w.say("unkept")
	l.Commit()
	if l.Err() == nil || l.Stats().Dropped != 1 {
		t.Errorf("Err %v, %d dropped", l.Err(), l.Stats().Dropped)
	}
	if l.Compact() == nil {
		t.Error("a snapshot was written")
	}
	disk.Fail(nil)
	if err := l.Compact(); err != nil || l.Err() != nil {
		t.Fatalf("Compact: %v, Err: %v", err, l.Err())
	}
	logged.want(t, "ERROR", "INFO")
	w.wantKept(t, disk)
}

func TestASyncFails(t *testing.T) {
	var logged lines
	disk := faultfs.New(1)
	l, w := open(t, disk, logged.to)
	w.say("a")
	l.Commit()
	disk.Fail(only(faultfs.Sync, firstLog, syscall.EIO))
	l.Sync()
	if l.Err() == nil {
		t.Fatal("Err says that all is well")
	}
	w.say("b") // a sync that has failed is not tried again: who knows what it would say
	l.Commit()
	if s := l.Stats(); s.Dropped != 1 {
		t.Errorf("stats %+v", s)
	}
	if err := l.Compact(); err != nil || l.Err() != nil {
		t.Fatalf("Compact: %v, Err: %v", err, l.Err())
	}
	logged.want(t, "ERROR", "INFO")
	disk.Crash()
	w.wantKept(t, disk)
}

// While no snapshot can be written, the log goes on and there is one more file, however often
// it is tried.
func TestSnapshotsFailAndTheLogDoesNot(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Create, faultfs.Write, faultfs.Sync, faultfs.Rename} {
		t.Run(string(op), func(t *testing.T) {
			var logged lines
			disk := faultfs.New(1)
			l, w := open(t, disk, logged.to)
			disk.Fail(only(op, "snapshot", syscall.EIO))
			for i := range 50 {
				w.say(fmt.Sprint(i))
				l.Commit()
				if l.Compact() == nil {
					t.Fatal("a snapshot was written")
				}
			}
			if l.Err() == nil {
				t.Error("Err says that all is well")
			}
			if n := len(disk.Files()); n > 3 {
				t.Errorf("%d files", n)
			}
			w.wantKept(t, disk)
			disk.Fail(nil)
			if err := l.Compact(); err != nil || l.Err() != nil {
				t.Fatalf("Compact: %v, Err: %v", err, l.Err())
			}
			logged.want(t, "ERROR", "INFO")
			w.say("more")
			l.Commit()
			w.wantKept(t, disk)
		})
	}
}

// A disk that takes new files and not what is written to them does not fill with them.
func TestNothingButHeadersCanBeWritten(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk, quiet)
	sizes := make(map[string]int)
	disk.Fail(func(op faultfs.Op, name string) error {
		if op == faultfs.Create {
			sizes[name] = 0
		}
		if op == faultfs.Write {
			if sizes[name]++; sizes[name] > 1 {
				return syscall.ENOSPC
			}
		}
		return nil
	})
	for i := range 50 {
		w.say(fmt.Sprint(i))
		l.Commit()
		l.Compact()
	}
	if n := len(disk.Files()); n > 2 {
		t.Errorf("%d files", n)
	}
	disk.Fail(nil)
	if err := l.Compact(); err != nil || l.Err() != nil {
		t.Fatalf("Compact: %v, Err: %v", err, l.Err())
	}
	w.wantKept(t, disk)
}

// A new log could not be made, and the one before goes on: the next snapshot must not take it
// for the new one, and remove it.
func TestALogCannotBeMade(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk, quiet)
	disk.Fail(only(faultfs.Create, ".log", syscall.EIO))
	for range 2 {
		if l.Compact() == nil {
			t.Fatal("a snapshot was written")
		}
	}
	disk.Fail(nil)
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	w.say("after")
	l.Commit()
	w.wantKept(t, disk)
}

// What was written by a process that was killed before its sync is synced by the next.
func TestKilledBeforeASync(t *testing.T) {
	for seed := range uint64(20) {
		disk := faultfs.New(seed)
		l, w := open(t, disk)
		w.say("written")
		l.Commit()
		disk.Kill()
		_, w = open(t, disk)
		disk.Crash()
		w.wantKept(t, disk)
	}
}

// With SyncAlways what is committed in the middle of a rotation is synced too.
func TestSyncAlwaysDuringACompaction(t *testing.T) {
	for seed := range uint64(20) {
		disk := faultfs.New(seed)
		l, w := open(t, disk, quiet, func(c *journal.Config) { c.Sync = journal.SyncAlways })
		w.say("pending")
		crashed := false
		disk.Fail(func(op faultfs.Op, name string) error {
			// The log has been replaced, and is about to be synced.
			if op == faultfs.Sync && name == firstLog && !crashed {
				crashed = true
				l.Commit()
				disk.CrashIn(1)
			}
			return nil
		})
		l.Compact()
		if !crashed {
			l.Commit()
		}
		disk.Crash()
		disk.Fail(nil)
		w.wantKept(t, disk)
	}
}

func TestClosedDuringACompaction(t *testing.T) {
	var logged lines
	disk := faultfs.New(1)
	l, w := open(t, disk, logged.to)
	w.say("a")
	closed := make(chan error, 1)
	disk.Fail(func(op faultfs.Op, name string) error {
		if op == faultfs.Create && name == "snapshot.tmp" {
			go func() { closed <- l.Close() }()
			for l.Compact() == nil && !l.Closing() {
			}
		}
		return nil
	})
	if l.Compact() == nil {
		t.Error("a snapshot was written")
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	logged.want(t)
	disk.Fail(nil)
	w.wantKept(t, disk)
}

// A disk that hangs fails no call: only time tells.
func TestTheDiskHangs(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Sync} {
		synctest.Test(t, func(t *testing.T) {
			disk := faultfs.New(1)
			l, w := open(t, disk)
			goOn := make(chan bool)
			disk.Fail(func(o faultfs.Op, _ string) error {
				if o == op {
					<-goOn
				}
				return nil
			})
			done := make(chan bool)
			go func() {
				defer close(done)
				w.say("a")
				l.Commit()
				l.Sync()
			}()
			time.Sleep(3 * time.Second)
			if l.Err() != nil {
				t.Errorf("%s: it may be slow: %v", op, l.Err())
			}
			time.Sleep(time.Millisecond)
			if err := l.Err(); err == nil || !strings.Contains(err.Error(), "does not answer") || l.Stats().Err == nil {
				t.Errorf("%s: for 3 s nothing has been written: %v", op, err)
			}
			close(goOn)
			<-done
			if l.Err() != nil {
				t.Errorf("%s: it has answered: %v", op, l.Err())
			}
			disk.Fail(nil)
			disk.Crash()
			w.wantKept(t, disk)
		})
	}
}

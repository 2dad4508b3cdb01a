package journal_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

// unopened returns a log that is not loaded yet, with one state.
func unopened(fs journal.FS, change ...func(*journal.Config)) (*journal.Log, *words) {
	cfg := journal.Config{FS: fs, Now: time.Now, Rand: rand.New(rand.NewPCG(3, 3))}
	for _, c := range change {
		c(&cfg)
	}
	l := journal.New(cfg)
	return l, newWords(l, 1)
}

// wantRefused checks that err says why a call comes too late.
func wantRefused(t *testing.T, call string, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %q", call, err, says)
	}
}

// Who loads twice has twice the records, who starts twice two logs, and who attaches late nothing:
// that is refused, and what goes on goes on.
func TestCallsOutOfOrderAreRefused(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("kept")
	l.Commit()
	before := disk.Files()

	wantRefused(t, "Load after Start", l.Load(), "started already")
	wantRefused(t, "Start after Start", l.Start(), "started already")
	wantPanic(t, "attached after Load", func() { l.Attach(2, &words{}) })
	if !maps.EqualFunc(disk.Files(), before, bytes.Equal) {
		t.Error("the files have changed")
	}
	w.say("kept, too")
	l.Commit()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "Load after Close", l.Load(), "was closed")
	wantRefused(t, "Start after Close", l.Start(), "was closed")
	w.wantKept(t, disk)
}

func wantPanic(t *testing.T, says string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, _ := recover().(string); !strings.Contains(got, says) {
			t.Errorf("panics with %q, want %q", got, says)
		}
	}()
	f()
}

// To load again before Start is what a successor does whose predecessor goes on.
func TestLoadedTwice(t *testing.T) {
	disk := faultfs.New(1)
	first, w := open(t, disk)
	second, again := unopened(disk)
	for _, word := range []string{"a", "b"} {
		w.say(word)
		first.Commit()
		if err := second.Load(); err != nil {
			t.Fatal(err)
		}
	}
	again.want(t, "a", "b")
	if n := second.Stats().Replayed; n != 2 {
		t.Errorf("%d records replayed", n)
	}
}

// A start that could not read can be tried again.
func TestStartedAgainAfterAnError(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("a")
	l.Commit()
	l, w = unopened(disk)
	disk.Fail(only(faultfs.Read, firstLog, syscall.EIO))
	wantRefused(t, "Start", l.Start(), syscall.EIO.Error())
	disk.Fail(nil)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	w.want(t, "a")
}

// Memory that nothing was loaded into must not take the place of what is on disk.
func TestNoSnapshotBeforeTheStart(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("kept")
	l.Commit()
	early, _ := unopened(disk)
	if err := early.Compact(); err != nil {
		t.Error(err)
	}
	w.wantKept(t, disk)
}

func TestRecordsThatNobodyTakesAreLogged(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("mine")
	l.Append(99, []byte("whose?"))
	l.Commit()
	var logged lines
	l, _ = open(t, disk, logged.to)
	logged.want(t, "WARN")
	if !strings.Contains(logged.b.String(), "records=1") {
		t.Errorf("logged %s", logged.b.String())
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

// Each start begins a log. Who is started again and again with nothing to record, closed or
// killed, leaves one.
func TestEmptyLogsDoNotPileUp(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("kept")
	l.Commit()
	for n := range 50 {
		if l, _ = open(t, disk); n%2 == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(disk.Files()); n > 2 {
			t.Fatalf("%d files", n)
		}
		if n%10 == 0 {
			disk.Crash()
		}
	}
	if s := l.Stats(); s.LogBytes != disk.Used() {
		t.Errorf("%d bytes of logs, the files have %d", s.LogBytes, disk.Used())
	}
	w.wantKept(t, disk)

	// One that cannot be removed is no harm.
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.Remove {
			return syscall.EPERM
		}
		return nil
	})
	l, _ = open(t, disk, quiet)
	if l.Err() != nil || len(disk.Files()) != 3 {
		t.Errorf("Err %v, %d files", l.Err(), len(disk.Files()))
	}
}

// The log of who records until the successor starts is empty until then, and stays.
func TestTheEmptyLogOfAPredecessorStays(t *testing.T) {
	disk := faultfs.New(1)
	first, w := open(t, disk)
	second, again := unopened(disk)
	if err := second.Load(); err != nil {
		t.Fatal(err)
	}
	w.say("last")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	again.want(t, "last")
	again.wantKept(t, disk)
}

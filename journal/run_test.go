package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

// running has l run until the end of the bubble.
func running(t *testing.T, l *journal.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		l.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestRunSyncsEachInterval(t *testing.T) {
	for interval, want := range map[time.Duration]uint64{
		journal.SyncDefault: 60, 100 * time.Millisecond: 600, 5 * time.Second: 12, journal.SyncNever: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			l, w := open(t, faultfs.New(1), func(c *journal.Config) { c.Sync = interval })
			running(t, l)
			before := l.Stats().Syncs
			for i := range 6_000 {
				w.say(fmt.Sprint(i))
				l.Commit()
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
			if got := l.Stats().Syncs - before; got != want {
				t.Errorf("%v: %d syncs a minute, want %d", interval, got, want)
			}
			time.Sleep(time.Minute)
			idle := l.Stats().Syncs
			time.Sleep(time.Minute)
			if got := l.Stats().Syncs; got != idle {
				t.Errorf("%v: %d syncs of nothing", interval, got-idle)
			}
		})
	}
}

// What nobody commits Run does.
func TestRunCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New(1)
		l, w := open(t, disk)
		running(t, l)
		w.say("uncommitted")
		time.Sleep(1100 * time.Millisecond)
		disk.Crash()
		w.wantKept(t, disk)
	})
}

func TestRunTakesASnapshotEachHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := open(t, faultfs.New(1))
		running(t, l)
		w.say("a")
		time.Sleep(59 * time.Minute)
		if n := l.Stats().Snapshots; n != 0 {
			t.Errorf("%d snapshots after 59 minutes", n)
		}
		time.Sleep(24 * time.Hour)
		if n := l.Stats().Snapshots; n != 24 {
			t.Errorf("%d snapshots a day", n)
		}
	})
}

// Each start begins a log; a program that is started again and again does not fill the
// directory with them.
func TestRunTakesASnapshotOfManyLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New(1)
		for range 16 {
			l, w := open(t, disk)
			w.say("a") // or the next start removes the log
			l.Commit()
		}
		l, _ := open(t, disk)
		running(t, l)
		time.Sleep(2 * time.Second)
		if n := len(disk.Files()); n != 2 {
			t.Errorf("%d files", n)
		}
	})
}

func TestRunTriesAgainAfterRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged lines
		disk := faultfs.New(1)
		l, w := open(t, disk, logged.to)
		running(t, l)
		var tries []time.Duration
		start := time.Now()
		disk.Fail(func(op faultfs.Op, _ string) error {
			switch op {
			case faultfs.Create:
				tries = append(tries, time.Since(start))
				return syscall.EIO
			case faultfs.Write:
				return syscall.EIO
			}
			return nil
		})
		for range 600 { // a minute
			w.say("a")
			l.Commit()
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(tries); n < 10 || n > 15 || !slices.IsSorted(tries) || tries[0] > 2*time.Second {
			t.Errorf("tries at %v", tries)
		}
		disk.Fail(nil)
		time.Sleep(6 * time.Second)
		if l.Err() != nil {
			t.Errorf("6 s after the disk works again: %v", l.Err())
		}
		logged.want(t, "ERROR", "INFO")
		w.wantKept(t, disk)
	})
}

// large is a State of values of a thousand bytes.
type large struct {
	mu     sync.Mutex
	values [4000][]byte
	during func()
}

func (s *large) Replay(record []byte, _, _ time.Time) error { return nil }

func (s *large) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range s.values {
			s.mu.Lock()
			v := slices.Clone(s.values[i])
			s.mu.Unlock()
			if !yield(v) {
				return
			}
			s.during()
		}
	}
}

// Under a steady load of changes, also while a snapshot is written, all files together are
// never longer than three snapshots.
func TestFilesStayShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New(1)
		r := rand.New(rand.NewPCG(1, 1))
		l := journal.New(journal.Config{FS: disk, Now: time.Now, Rand: r})
		s := &large{during: func() {}}
		for i := range s.values {
			s.values[i] = make([]byte, 1000)
		}
		l.Attach(1, s)
		if err := l.Load(); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(); err != nil {
			t.Fatal(err)
		}
		if err := l.Compact(); err != nil {
			t.Fatal(err)
		}
		snapshot := l.Stats().SnapshotBytes
		change := func() {
			s.mu.Lock()
			v := s.values[r.IntN(len(s.values))]
			v[r.IntN(len(v))]++
			l.Append(1, v)
			s.mu.Unlock()
		}
		n := 0
		s.during = func() {
			if n++; n%4 == 0 { // a quarter of the state while it is written
				change()
				l.Commit()
			}
		}
		running(t, l)
		longest := int64(0)
		disk.Fail(func(faultfs.Op, string) error {
			longest = max(longest, disk.Used())
			return nil
		})
		for range 20_000 {
			change()
			l.Commit()
			synctest.Wait()
		}
		disk.Fail(nil)
		if longest > 3*snapshot {
			t.Errorf("the files were %d bytes long, the snapshot is %d", longest, snapshot)
		}
		if n := l.Stats().Snapshots; n < 8 || n > 20 {
			t.Errorf("%d snapshots of 5 times the state", n)
		}
	})
}

// watched is a Disk that notes the records of each write when it is done.
type watched struct {
	*faultfs.Disk
	written sync.Map
}

type watchedFile struct {
	journal.File
	fs *watched
}

func (w *watched) Create(name string) (journal.File, error) {
	f, err := w.Disk.Create(name)
	if strings.HasSuffix(name, ".log") {
		f = &watchedFile{f, w}
	}
	return f, err
}

func (f *watchedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if bytes.HasPrefix(p, []byte("kadnode\n")) { // the header of the file
		return n, err
	}
	for records := p[20:]; len(records) > 0; {
		length := int(records[1]) // all of them are short
		f.fs.written.Store(string(records[2:2+length]), true)
		records = records[2+length:]
	}
	return n, err
}

// Whoever returns from Commit has his record in the file, whoever has written it, whatever
// else is going on.
func TestCommittedByManyAtOnce(t *testing.T) {
	disk := &watched{Disk: faultfs.New(1)}
	l, w := open(t, disk)
	running(t, l)
	stop := make(chan bool)
	var upkeep, all sync.WaitGroup
	again := func(f func()) {
		upkeep.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	again(func() { l.Sync() })
	again(func() {
		if err := l.Compact(); err != nil {
			t.Error(err)
		}
	})
	again(func() { l.Hold(true); l.Hold(false); l.Stats() })
	for g := range 8 {
		all.Go(func() {
			for i := range 300 {
				word := fmt.Sprintf("%d of %d", i, g)
				w.say(word)
				l.Commit()
				if _, ok := disk.written.Load(word); !ok {
					t.Errorf("%q is not written", word)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	upkeep.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	w.wantKept(t, disk.Disk)
}

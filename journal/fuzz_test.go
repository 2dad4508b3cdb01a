package journal_test

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

// list is a State of records in their order.
type list struct {
	t       *testing.T
	records []string
}

func (l *list) Replay(record []byte, _, _ time.Time) error {
	if len(record) > 4<<20 {
		l.t.Errorf("a record of %d bytes", len(record))
	}
	l.records = append(l.records, string(record))
	return nil
}

func (l *list) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, r := range l.records {
			if !yield([]byte(r)) {
				return
			}
		}
	}
}

func load(t *testing.T, disk *faultfs.Disk) (*journal.Log, *list, error) {
	cfg := journal.Config{FS: disk, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))}
	quiet(&cfg)
	l, s := journal.New(cfg), &list{t: t}
	l.Attach(1, s)
	return l, s, l.Load()
}

// Whatever the files are, the log begins, and what it records then is there again.
func FuzzLoad(f *testing.F) {
	log := journal.FileOf(false, []byte("\x01\x03abc"), []byte("\x01\x00\x02\x01x"))
	f.Add(log, journal.FileOf(true, []byte("\x01\x03abc"), nil))
	f.Add(log[:70], []byte{})
	f.Add(append(log, log...), log)
	f.Fuzz(func(t *testing.T, log, snapshot []byte) {
		disk := faultfs.New(1)
		disk.Put("0000000001.log", log)
		disk.Put("0000000001.snapshot", snapshot)
		l, before, err := load(t, disk)
		if err != nil {
			if !errors.Is(err, journal.ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		if err := l.Start(); err != nil || l.Err() != nil {
			t.Fatalf("Start: %v, Err: %v", err, l.Err())
		}
		l.Append(1, []byte("new"))
		before.records = append(before.records, "new")
		l.Commit()
		if _, again, err := load(t, disk); err != nil || !slices.Equal(again.records, before.records) {
			t.Errorf("again: %q, %v, want %q", again.records, err, before.records)
		}
	})
}

// The same behind the checksums: what frames hold.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x01\x03abc\x01\x00"), []byte("\x02\x01x"))
	f.Add([]byte("\x01"), []byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), []byte("\x01\x05abcd"))
	f.Fuzz(func(t *testing.T, log, snapshot []byte) {
		disk := faultfs.New(1)
		disk.Put("0000000001.log", journal.FileOf(false, log, []byte("\x01\x04last")))
		disk.Put("0000000001.snapshot", journal.FileOf(true, snapshot, nil))
		_, s, err := load(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(s.records, "last") {
			t.Errorf("the frame after was not found: %q", s.records)
		}
	})
}

// What is appended is replayed, in its order, from the log, and from a snapshot of that.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some records"), uint8(3), uint8(2))
	f.Add([]byte{}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, length, batch uint8) {
		disk := faultfs.New(1)
		l, s, _ := load(t, disk)
		if err := l.Start(); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 100 && len(data) > 0; i++ {
			n := min(int(length)*(1+i%300), len(data), journal.MaxRecord)
			s.records = append(s.records, string(data[:n]))
			l.Append(1, data[:n])
			data = data[n:]
			if batch == 0 || i%int(batch) == 0 {
				l.Commit()
			}
		}
		l.Commit()
		if _, again, err := load(t, disk); err != nil || !slices.Equal(again.records, s.records) {
			t.Errorf("log: %q, %v, want %q", again.records, err, s.records)
		}
		if err := l.Compact(); err != nil {
			t.Fatal(err)
		}
		if _, again, err := load(t, disk); err != nil || !slices.Equal(again.records, s.records) {
			t.Errorf("snapshot: %q, %v, want %q", again.records, err, s.records)
		}
	})
}

package journal_test

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
)

// numbers is a State of so many records of the length of an announce.
type numbers struct{ n, replayed int }

func (s *numbers) Replay(_ []byte, _, _ time.Time) error {
	s.replayed++
	return nil
}

func (s *numbers) Records(time.Time) iter.Seq[[]byte] {
	var record [34]byte
	return func(yield func([]byte) bool) {
		for i := range s.n {
			binary.LittleEndian.PutUint64(record[:], uint64(i))
			if !yield(record[:]) {
				return
			}
		}
	}
}

func begin(t testing.TB, dir journal.Dir, s *numbers) *journal.Log {
	t.Helper()
	l := journal.New(journal.Config{FS: dir, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))})
	l.Attach(1, s)
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAppendAndCommitDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := begin(t, journal.Dir(t.TempDir()), &numbers{})
	defer l.Close()
	record := make([]byte, 34)
	batch := func() {
		for range 64 {
			l.Append(1, record)
		}
		l.Commit()
		l.Commit()
	}
	batch()
	batch() // there are two buffers
	if n := testing.AllocsPerRun(100, batch); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func BenchmarkAppendCommit(b *testing.B) {
	for _, batch := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			l := begin(b, journal.Dir(b.TempDir()), &numbers{})
			defer l.Close()
			record := make([]byte, 34)
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					l.Append(1, record)
				}
				l.Commit()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/record")
		})
	}
}

func BenchmarkCompact(b *testing.B) {
	l := begin(b, journal.Dir(b.TempDir()), &numbers{n: 1_000_000})
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Compact(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := journal.Dir(b.TempDir())
	l := begin(b, dir, &numbers{n: 1_000_000})
	if err := l.Compact(); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := &numbers{}
		l := journal.New(journal.Config{FS: dir, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))})
		l.Attach(1, s)
		if err := l.Load(); err != nil || s.replayed != 1_000_000 {
			b.Fatalf("%d records, %v", s.replayed, err)
		}
	}
}

// BenchmarkLoadZeros looks for a frame in 256 MiB of zeros, as a crash may leave them.
func BenchmarkLoadZeros(b *testing.B) {
	const size = 256 << 20
	dir := b.TempDir()
	name := filepath.Join(dir, firstLog)
	if err := os.WriteFile(name, journal.FileOf(false), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		l := journal.New(journal.Config{FS: journal.Dir(dir), Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))})
		if err := l.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

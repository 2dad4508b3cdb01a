package journal_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

// A second process loads the files while the first one records, and takes snapshots unless it
// is told not to; then the first one ends, and the second one has everything.
func TestHandover(t *testing.T) {
	for _, held := range []bool{false, true} {
		for compactAt := range 40 {
			disk := faultfs.New(uint64(compactAt))
			first, w := open(t, disk)
			for i := range 20 {
				w.say(fmt.Sprint("early ", i))
				first.Commit()
			}
			if err := first.Compact(); err != nil {
				t.Fatal(err)
			}
			w.say("after the snapshot")
			first.Commit()
			first.Hold(held)

			n, busy := 0, false
			disk.Fail(func(op faultfs.Op, _ string) error {
				if busy || n == 60 || op != faultfs.Open && op != faultfs.Read && op != faultfs.Names {
					return nil
				}
				busy = true
				w.say(fmt.Sprint("meanwhile ", n))
				first.Commit()
				if n == compactAt || n == compactAt+5 {
					if err := first.Compact(); err != nil {
						t.Error(err)
					}
				}
				n++
				busy = false
				return nil
			})
			second := journal.New(journal.Config{FS: disk, Now: time.Now, Rand: rand.New(rand.NewPCG(2, 2))})
			again := newWords(second, 1)
			if err := second.Load(); err != nil {
				t.Fatal(err)
			}
			disk.Fail(nil)
			if held && first.Stats().Snapshots != 1 {
				t.Error("a snapshot was taken")
			}
			first.Hold(false)
			w.say("last")
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if err := second.Start(); err != nil {
				t.Fatal(err)
			}
			if len(again.said) != len(w.said) {
				t.Fatalf("held %v, a snapshot at %d: %d words, want %d", held, compactAt, len(again.said), len(w.said))
			}
			again.wantKept(t, disk)
		}
	}
}

// What is removed stays removed for the second process, if no snapshot is taken before it starts.
func TestHandoverOfARemoval(t *testing.T) {
	disk := faultfs.New(1)
	start := func() (*journal.Log, *book) {
		l := journal.New(journal.Config{FS: disk, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))})
		b := &book{during: func() {}}
		l.Attach(1, b)
		if err := l.Load(); err != nil {
			t.Fatal(err)
		}
		return l, b
	}
	first, a := start()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	write := func(version uint32) {
		a.write(3, version)
		first.Append(1, pageRecord(3, version))
		first.Commit()
	}
	write(1)
	first.Hold(true)
	second, b := start()
	write(2 | removal)
	if err := first.Compact(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	if b.pages[3] != 0 {
		t.Errorf("the page is at version %d again", b.pages[3])
	}
}

// halves is a Disk of which a write can be seen half done.
type halves struct {
	*faultfs.Disk
	between func()
}

type halfFile struct {
	journal.File
	fs *halves
}

func (h *halves) Create(name string) (journal.File, error) {
	f, err := h.Disk.Create(name)
	return &halfFile{f, h}, err
}

func (f *halfFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	if f.fs.between != nil {
		f.fs.between()
	}
	m, err := f.File.Write(p[n:])
	return n + m, err
}

// Who reads a frame that is half there must not go on behind it when it is whole.
func TestAFrameIsWrittenWhileItIsRead(t *testing.T) {
	disk := &halves{Disk: faultfs.New(1)}
	first, w := open(t, disk)
	half, goOn, done := make(chan bool), make(chan bool), make(chan bool)
	disk.between = func() {
		disk.between = nil
		close(half)
		<-goOn
	}
	go func() {
		defer close(done)
		w.say("read while it is written")
		first.Commit()
		w.say("the next")
		first.Commit()
	}()
	<-half
	opened := 0
	disk.Fail(func(op faultfs.Op, name string) error {
		if op == faultfs.Open {
			if opened++; opened == 3 { // the header; the frame, half of it; to look behind it
				close(goOn)
				<-done
			}
		}
		return nil
	})
	second := journal.New(journal.Config{FS: disk, Now: time.Now, Rand: rand.New(rand.NewPCG(2, 2))})
	again := newWords(second, 1)
	if err := second.Load(); err != nil {
		t.Fatal(err)
	}
	disk.Fail(nil)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	again.want(t, "read while it is written", "the next")
}

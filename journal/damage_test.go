package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
)

const (
	firstLog      = "0000000001.log"
	firstSnapshot = "0000000002.snapshot"
	fileHeader    = 48
)

func quiet(c *journal.Config) { c.Log = slog.New(slog.DiscardHandler) }

// recorded returns the files of a log of some words, one a commit, and where each frame begins.
func recorded(t *testing.T, words ...string) (name string, data []byte, frames []int) {
	t.Helper()
	disk := faultfs.New(1)
	l, w := open(t, disk)
	for _, word := range words {
		frames = append(frames, len(disk.Files()[firstLog]))
		w.say(word)
		l.Commit()
	}
	data = disk.Files()[firstLog]
	return firstLog, data, append(frames, len(data))
}

// snapshotted is the same with a snapshot, in two frames.
func snapshotted(t *testing.T, words ...string) (name string, data []byte, frames []int) {
	t.Helper()
	disk := faultfs.New(1)
	l, w := open(t, disk)
	for _, word := range words {
		w.say(word)
	}
	disk.Fail(func(op faultfs.Op, name string) error {
		if op == faultfs.Write && name == "snapshot.tmp" {
			frames = append(frames, len(disk.Files()[name]))
		}
		return nil
	})
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	data = disk.Files()[firstSnapshot]
	return firstSnapshot, data, append(frames[1:], len(data))
}

// found returns what a log finds in a directory with one file.
func found(t *testing.T, name string, data []byte) []string {
	t.Helper()
	disk := faultfs.New(1)
	disk.Put(name, data)
	_, w := open(t, disk, quiet)
	return slices.Sorted(maps.Keys(w.said))
}

func TestALogIsCutOffAnywhere(t *testing.T) {
	words := []string{"a", "b", "c", "d"}
	name, data, frames := recorded(t, words...)
	for n := range len(data) + 1 {
		whole := 0
		for whole < len(words) && frames[whole+1] <= n {
			whole++
		}
		if got := found(t, name, data[:n]); !slices.Equal(got, words[:whole]) {
			t.Errorf("of %d bytes: %q, want %q", n, got, words[:whole])
		}
	}
}

// A flipped bit costs the frame it is in. Each of the two headers makes up for the other.
func TestABitIsFlippedAnywhere(t *testing.T) {
	large := func(c string) string { return c + string(bytes.Repeat([]byte{'x'}, 60_000)) }
	for _, made := range []struct {
		name  string
		files func(*testing.T, ...string) (string, []byte, []int)
		words []string
		inOne int // words of a frame
		step  int
	}{
		{"log", recorded, []string{"a", "b", "c", "d"}, 1, 1},
		{"snapshot", snapshotted, []string{large("a"), large("b"), large("c"), large("d"), large("e")}, 3, 9973},
	} {
		t.Run(made.name, func(t *testing.T) {
			name, data, frames := made.files(t, made.words...)
			flip := func(bit int) {
				damaged := slices.Clone(data)
				damaged[bit/8] ^= 1 << (bit % 8)
				lost := -1
				for i := range len(frames) - 1 {
					if frames[i] <= bit/8 && bit/8 < frames[i+1] {
						lost = i
					}
				}
				var want []string
				for i, word := range made.words {
					if i/made.inOne != lost {
						want = append(want, word)
					}
				}
				if got := found(t, name, damaged); !slices.Equal(got, want) {
					t.Errorf("bit %d of byte %d: %d words, want %d", bit%8, bit/8, len(got), len(want))
				}
			}
			for bit := 0; bit < len(data)*8; bit += made.step {
				flip(bit)
			}
			for _, at := range frames[:len(frames)-1] {
				for bit := 0; bit < 8*20; bit += 5 {
					flip(8*at + bit)
				}
			}
		})
	}
}

// The frame after a damaged part is found wherever it begins in what is read at a time, and
// whatever is before it: also what looks like its marker at first.
func TestTheNextFrameIsFoundAnywhere(t *testing.T) {
	const buffer = 16 << 10
	for _, length := range []int{0, 1, 2, 3, 4, buffer - 48, 2*buffer - 48} {
		for more := range 24 {
			word := fmt.Sprintf("%0*d", max(1, length-12+more), 0)
			name, data, frames := recorded(t, "before", word, "after")
			damaged, marker := data[frames[1]:frames[2]], data[frames[0]:][:4]
			for _, filler := range [][]byte{{0}, marker[:1], marker[:3]} {
				for i := range damaged {
					damaged[i] = filler[i%len(filler)]
				}
				if got := found(t, name, data); !slices.Equal(got, []string{"after", "before"}) {
					t.Fatalf("behind %d bytes of %x: %d words", len(damaged), filler, len(got))
				}
			}
		}
	}
}

// Who can choose what is recorded sees the file, and records whole frames of it. When the frame
// around them is damaged, they are not taken for frames of the file.
func TestRecordsThatLookLikeFrames(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk, quiet)
	w.say("true")
	l.Commit()
	frame := disk.Files()[firstLog][fileHeader:]
	forged := bytes.Replace(frame, []byte("true"), []byte("lies"), 1)
	w.say("before" + string(frame) + string(forged) + string(disk.Files()[firstLog]))
	at := disk.Used()
	l.Commit()
	w.say("after")
	l.Commit()
	disk.Flip(firstLog, int(at+30)*8)
	disk.Flip(firstLog, fileHeader*8+165) // in the frame that was copied

	_, w = open(t, disk, quiet)
	w.want(t, "after")
}

func TestANewerVersionChangesNothing(t *testing.T) {
	for _, file := range []func(*testing.T, ...string) (string, []byte, []int){recorded, snapshotted} {
		name, data, _ := file(t, "a", "b")
		for h := range 2 {
			b := data[h*fileHeader/2:][:fileHeader/2]
			b[8] = 2
			sum := crc32.Checksum(b[:20], crc32.MakeTable(crc32.Castagnoli))
			b[20], b[21], b[22], b[23] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
		disk := faultfs.New(1)
		disk.Put(name, data)
		before := disk.Files()
		l := journal.New(journal.Config{FS: disk, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 1))})
		newWords(l, 1)
		if err := l.Load(); !errors.Is(err, journal.ErrNewer) {
			t.Errorf("%s: Load: %v", name, err)
		}
		if !maps.EqualFunc(before, disk.Files(), bytes.Equal) {
			t.Errorf("%s: files were changed", name)
		}
	}
}

func TestEmptyAndForeignFiles(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("a")
	l.Commit()
	foreign := map[string][]byte{
		"0000000007.log": nil, "0000000003.snapshot": nil, // ours, cut off
		"snapshot.tmp": []byte("half"), "1.log": []byte("x"), "00000000001.log": []byte("x"),
		"+000000001.log": []byte("x"), "18446744073709551615.snapshot": []byte("x"),
		"notes.txt": []byte("x"), ".log": []byte("x"), "log": nil, "0000000001.log.bak": nil,
	}
	for name, data := range foreign {
		disk.Put(name, data)
	}
	l, w = open(t, disk, quiet)
	w.want(t, "a")
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	files := disk.Files()
	for name, data := range foreign {
		if got, ok := files[name]; (!ok || !bytes.Equal(got, data)) && len(data) == 1 {
			t.Errorf("%s was changed", name)
		}
	}
	_, w = open(t, disk, quiet)
	w.want(t, "a")
}

// A state that is no longer attached, or not yet, costs nobody else.
func TestRecordsOfOthersAreCounted(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("mine")
	l.Append(99, []byte("whose?"))
	w.say("mine too")
	l.Commit()
	l, w = open(t, disk)
	w.want(t, "mine", "mine too")
	if s := l.Stats(); s.Replayed != 2 || s.NotReplayed != 1 || s.DamagedBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A snapshot that is damaged beyond reading is not the end: what else there is counts.
func TestTheLastSnapshotIsUnreadable(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk)
	w.say("old")
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	old := disk.Files()
	w.say("new")
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	for name, data := range old { // as a crash leaves them
		disk.Put(name, data)
	}
	disk.Put("0000000003.snapshot", bytes.Repeat([]byte{0}, 500))
	_, w = open(t, disk, quiet)
	w.want(t, "new", "old")
}

// A record of any length up to MaxRecord is kept; a longer one is a gap that Err tells of.
func TestLengthsOfRecords(t *testing.T) {
	disk := faultfs.New(1)
	l, w := open(t, disk, quiet)
	var want []string
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, journal.MaxRecord} {
		word := fmt.Sprintf("%-*s", n, "")
		want = append(want, word)
		w.say(word)
	}
	l.Commit()
	if l.Err() != nil {
		t.Fatal(l.Err())
	}
	_, again := open(t, disk, quiet)
	again.want(t, want...)

	w.say(string(make([]byte, journal.MaxRecord+1)))
	l.Commit()
	if l.Err() == nil || l.Stats().Dropped != 1 {
		t.Errorf("after a record that is too long: Err %v, %d dropped", l.Err(), l.Stats().Dropped)
	}
	if err := l.Compact(); err == nil {
		t.Error("a snapshot with a record that is too long was written")
	}
}

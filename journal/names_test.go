package journal_test

import (
	"strings"
	"testing"

	"github.com/kadnode/kadnode/journal/faultfs"
)

// A file with a number that nobody counts up to has been renamed. What it has is there, and
// what follows is counted from it.
func TestFarNumbers(t *testing.T) {
	_, data, _ := recorded(t, "far")
	for _, name := range []string{"9999999999.log", "10000000000.log", "4611686018427387000.log"} {
		disk := faultfs.New(1)
		disk.Put(name, data)
		l, w := open(t, disk)
		w.say("more")
		if err := l.Compact(); err != nil {
			t.Fatal(err)
		}
		w.say("and more")
		l.Commit()
		w.want(t, "and more", "far", "more")
		w.wantKept(t, disk)
	}
}

// Where there is no number for a next file the log says that it records nothing: what it wrote
// to that would not be found again.
func TestTheLastNumber(t *testing.T) {
	const last = "4611686018427387903.log" // 2^62 - 1
	_, data, _ := recorded(t, "far")
	disk := faultfs.New(1)
	disk.Put(last, data)
	for range 2 {
		l, w := open(t, disk, quiet)
		w.want(t, "far")
		w.say("more")
		l.Commit()
		if err := l.Compact(); err == nil {
			t.Error("a snapshot was written")
		}
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "no number") {
			t.Errorf("Err: %v", err)
		}
	}
	if n := len(disk.Files()); n != 1 {
		t.Errorf("%d files", n)
	}
}

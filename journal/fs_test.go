package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kadnode/kadnode/journal"
)

// The directory may be elsewhere: on another disk, say.
func TestADirectoryBehindALink(t *testing.T) {
	elsewhere, link := t.TempDir(), filepath.Join(t.TempDir(), "journal")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip(err) // who may make one differs on Windows
	}
	l, w := open(t, journal.Dir(link))
	w.say("a")
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	w.say("b")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, w = open(t, journal.Dir(elsewhere))
	w.want(t, "a", "b")
}

// What bears the name of a log or a snapshot and is no file is not read, nor removed.
func TestADirectoryWithTheNameOfALog(t *testing.T) {
	dir := t.TempDir()
	wantLeftAlone(t, dir, func(name string) error { return os.Mkdir(filepath.Join(dir, name), 0o700) })
}

// wantLeftAlone checks that a log bears what make makes where its files are to be.
func wantLeftAlone(t *testing.T, dir string, make func(name string) error) {
	t.Helper()
	names := []string{"0000000001.log", "0000000003.snapshot", "0000000004.log"}
	for _, name := range names {
		if err := make(name); err != nil {
			t.Fatal(err)
		}
	}
	l, w := open(t, journal.Dir(dir), quiet)
	for range 4 { // as Run does, until a number is free
		if w.say("a"); l.Compact() == nil && l.Err() == nil {
			break
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, w = open(t, journal.Dir(dir), quiet)
	w.want(t, "a")
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

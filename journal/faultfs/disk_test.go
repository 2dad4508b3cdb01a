package faultfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/kadnode/kadnode/journal"
)

var _ journal.FS = (*Disk)(nil)

// create makes a file with data, which is synced or not.
func create(t *testing.T, d *Disk, name, data string, synced bool) journal.File {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if synced {
		if err := errors.Join(f.Sync(), d.Sync()); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestWhatIsSyncedOutlastsACrash(t *testing.T) {
	for seed := range uint64(100) {
		d := New(seed)
		f := create(t, d, "a", "synced", true)
		f.Write([]byte(" not synced"))
		create(t, d, "b", "no name", false).Sync()
		d.Crash()
		files := d.Files()
		if got := files["a"]; !bytes.HasPrefix(got, []byte("synced")) || len(got) > len("synced not synced") {
			t.Errorf("seed %d: %q", seed, got)
		}
		if b, ok := files["b"]; ok && string(b) != "no name" {
			t.Errorf("seed %d: %q", seed, b)
		}
		if _, err := f.Write([]byte("x")); !errors.Is(err, ErrCrashed) {
			t.Errorf("a file was written after a crash: %v", err)
		}
	}
}

// Each fate that a crash can have for what was not synced comes up.
func TestFatesOfACrash(t *testing.T) {
	fates := make(map[string]int)
	for seed := range uint64(1000) {
		d := New(seed)
		create(t, d, "renamed", "x", true)
		create(t, d, "removed", "x", true)
		f := create(t, d, "f", "0", true)
		f.Write([]byte("1111"))
		f.Write([]byte("2222"))
		create(t, d, "created", "", false)
		d.Rename("renamed", "to")
		d.Remove("removed")
		d.Crash()
		files := d.Files()
		for _, name := range []string{"created", "renamed", "removed", "to"} {
			if _, ok := files[name]; ok {
				fates[name]++
			} else {
				fates["no "+name]++
			}
		}
		if files["renamed"] == nil && files["to"] == nil {
			t.Errorf("seed %d: a file is gone that was renamed", seed)
		}
		fates[string(files["f"])]++
	}
	for _, fate := range []string{
		"created", "no created", "renamed", "no renamed", "removed", "no removed", "to", "no to",
		"0", "01", "01111", "0111122", "011112222", "0\x00\x00\x00\x002222",
	} {
		if fates[fate] == 0 {
			t.Errorf("never %q", fate)
		}
	}
}

func TestAKillLosesNothing(t *testing.T) {
	d := New(1)
	create(t, d, "a", "not synced", false)
	d.CrashIn(2)
	if _, err := d.Names(); err != nil || d.Crashed() {
		t.Errorf("Names: %v, before the crash", err)
	}
	if _, err := d.Names(); !errors.Is(err, ErrCrashed) || !d.Crashed() {
		t.Errorf("Names: %v, in the crash", err)
	}
	d.Kill()
	if got := d.Files()["a"]; string(got) != "not synced" {
		t.Errorf("%q", got)
	}
	d.SyncFile("a")
	d.Sync()
	d.Crash()
	if got := d.Files()["a"]; string(got) != "not synced" {
		t.Errorf("after a sync by another process, and a crash: %q", got)
	}
}

func TestFaults(t *testing.T) {
	d := New(1)
	d.Limit(7)
	f := create(t, d, "a", "12345", false)
	if n, err := f.Write([]byte("678")); n != 2 || !errors.Is(err, syscall.ENOSPC) || d.Used() != 7 {
		t.Errorf("Write: %d, %v, %d used", n, err, d.Used())
	}
	if err := d.Remove("a"); err != nil || d.Used() != 0 {
		t.Errorf("Remove: %v, %d used", err, d.Used())
	}
	d.Fail(func(op Op, name string) error {
		if op == Sync && name == "b" {
			return syscall.EIO
		}
		return nil
	})
	if err := create(t, d, "b", "x", false).Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Sync: %v", err)
	}
	if _, err := d.Create("b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create: %v", err)
	}
	d.Flip("b", 0)
	r, err := d.Open("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); string(b) != "y" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := d.Open("c", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}

package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestDiskFileWritesAllThereIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := newTestFile(t, path, os.O_WRONLY|os.O_CREATE)
	var want []byte
	for i, size := range []int{1, 0, quickBytes, quickBytes + 1, 100, 1 << 20, 7} {
		b := bytes.Repeat([]byte{byte('a' + i)}, size)
		if n, err := f.Write(b); n != size || err != nil {
			t.Fatalf("Write of %d bytes: %d, %v", size, n, err)
		}
		want = append(want, b...)
		if i == 2 {
			f.slow = time.Now() // the next ones go the other way
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the file has %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestDiskFileTellsOfErrors(t *testing.T) {
	f := newTestFile(t, "/dev/full", os.O_WRONLY)
	if n, err := f.Write([]byte("record")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write to a full disk: %d, %v", n, err)
	}
	f.Close()
	if n, err := f.Write([]byte("record")); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write to a closed file: %d, %v", n, err)
	}
}

func TestDiskFileIsNotQuickAfterASlowWrite(t *testing.T) {
	f := newTestFile(t, filepath.Join(t.TempDir(), "log"), os.O_WRONLY|os.O_CREATE)
	now := time.Now()
	if !f.quick(10, now) || f.quick(quickBytes+1, now) {
		t.Error("a disk that was never slow is not trusted, or too far")
	}
	f.note(now.Add(-2*slowWrite), now)
	if f.quick(10, now.Add(distrust)) || !f.quick(10, now.Add(distrust+1)) {
		t.Error("a disk that was slow is to be trusted a minute later")
	}
	f.syncing.Store(true)
	if f.quick(10, now.Add(time.Hour)) {
		t.Error("a disk that syncs is trusted")
	}
}

func newTestFile(t *testing.T, path string, flag int) *diskFile {
	t.Helper()
	o, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	f, err := newDiskFile(o)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*diskFile)
}

//go:build unix

package journal_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

// To open a FIFO that nobody writes to would wait for ever.
func TestAFIFOWithTheNameOfALog(t *testing.T) {
	dir := t.TempDir()
	wantLeftAlone(t, dir, func(name string) error { return syscall.Mkfifo(filepath.Join(dir, name), 0o600) })
}

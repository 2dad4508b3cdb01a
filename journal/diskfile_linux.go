package journal

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// quickBytes is more than the records of a batch of datagrams, and less than the pieces that
	// snapshots are written in.
	quickBytes = 8 << 10
	// slowWrite is what no write to the page cache of a disk that is well takes.
	slowWrite = 2 * time.Millisecond
	// distrust is for how long a disk that was slow is not taken for one that is well.
	distrust = time.Minute
)

// diskFile is a file on disk. It writes without a word to the scheduler as long as the disk is quick:
// to copy a record to the page cache takes two microseconds, and what the scheduler does about a
// call that may block, where the program is idle in between, takes thirty. Whoever blocks like
// that holds up a processor, and the collection of garbage. So nobody does once the disk has been
// slow, nor while it syncs, which shows first that it hangs.
type diskFile struct {
	*os.File
	raw   syscall.RawConn
	write func(fd uintptr) // quickWrite, made once

	// Of the Write that is under way.
	b []byte
	n int

	slow    time.Time // when a write was last
	syncing atomic.Bool
}

func newDiskFile(f *os.File) (File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &diskFile{File: f, raw: raw}
	q.write = q.quickWrite
	return q, nil
}

// Write implements File.
func (f *diskFile) Write(b []byte) (n int, err error) {
	start := time.Now()
	defer func() { f.note(start, time.Now()) }()
	if f.quick(len(b), start) {
		f.b, f.n = b, 0
		_ = f.raw.Control(f.write) // fails only once the file is closed
		f.b = nil
		if n = f.n; n == len(b) {
			return n, nil
		}
	}
	// The rest, or the error that there was.
	rest, err := f.File.Write(b[n:])
	return n + rest, err
}

// quick tells whether a write of so many bytes is sure not to block.
func (f *diskFile) quick(bytes int, now time.Time) bool {
	return 0 < bytes && bytes <= quickBytes && !f.syncing.Load() && (f.slow.IsZero() || now.Sub(f.slow) > distrust)
}

func (f *diskFile) note(start, end time.Time) {
	if end.Sub(start) > slowWrite {
		f.slow = end
	}
}

// quickWrite writes what it can; what that was not, Write finds out.
func (f *diskFile) quickWrite(fd uintptr) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(f.b))), uintptr(len(f.b)))
	if errno == 0 {
		f.n = int(n)
	}
}

// Sync implements File.
func (f *diskFile) Sync() error {
	f.syncing.Store(true)
	defer f.syncing.Store(false)
	return f.File.Sync()
}

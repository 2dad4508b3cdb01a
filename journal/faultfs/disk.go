// Package faultfs is a disk in memory that crashes, fills up and fails, for tests of what is to
// outlast that. The same seed and the same calls give the same disk.
package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"github.com/kadnode/kadnode/journal"
)

// ErrCrashed is what every operation returns between a crash that CrashIn has set and the
// restart, and every operation on a file that was opened before.
var ErrCrashed = errors.New("faultfs: crashed")

// Op is an operation on a Disk.
type Op string

// The operations.
const (
	Create  Op = "create"
	Open    Op = "open"
	Read    Op = "read"
	Write   Op = "write"
	Sync    Op = "sync"
	Rename  Op = "rename"
	Remove  Op = "remove"
	Names   Op = "names"
	SyncDir Op = "syncdir"
)

// Disk is a journal.FS. It is safe for concurrent use.
type Disk struct {
	mu      sync.Mutex
	rand    *rand.Rand
	files   map[string]*inode // as programs see them
	synced  map[string]*inode // the names that a crash leaves for sure
	changes []change          // of the names since
	used    int64             // bytes
	limit   int64             // of used; negative: none
	life    int               // restarts; what was opened in an earlier life is dead
	dead    bool              // until the restart
	crashIn int               // operations; 0: no crash is set
	hook    func(Op, string) error
}

// inode is a file without its name. Files are written from their start on, in order.
type inode struct {
	data   []byte
	synced int   // bytes
	writes []int // where those begin that were not synced
}

// change is a file that was made, removed or renamed.
type change struct {
	from, to string // "": none
	node     *inode
}

// New returns an empty Disk without faults.
func New(seed uint64) *Disk {
	return &Disk{
		rand:   rand.New(rand.NewPCG(seed, 0)),
		files:  make(map[string]*inode),
		synced: make(map[string]*inode),
		limit:  -1,
	}
}

// effect is what an operation does, whatever it returns.
type effect int

const (
	none effect = iota
	part        // of a write; none of other operations
	whole
)

// begin takes the lock for an operation, and returns what that does, and its error. The one in
// the middle of which the machine crashes may be done, but nobody is told.
func (d *Disk) begin(life int, op Op, name string) (does effect, err error) {
	d.mu.Lock()
	hook := d.hook
	if hook != nil && !d.dead {
		d.mu.Unlock()
		err = hook(op, name)
		d.mu.Lock()
	}
	if d.dead || life >= 0 && life != d.life {
		return none, &fs.PathError{Op: string(op), Path: name, Err: ErrCrashed}
	}
	if d.crashIn > 0 {
		if d.crashIn--; d.crashIn == 0 {
			d.dead = true
			return part + effect(d.rand.IntN(2)), &fs.PathError{Op: string(op), Path: name, Err: ErrCrashed}
		}
	}
	if err != nil {
		return part, &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return whole, nil
}

const anyLife = -1

// Create implements journal.FS.
func (d *Disk) Create(name string) (journal.File, error) {
	does, err := d.begin(anyLife, Create, name)
	defer d.mu.Unlock()
	if err == nil && d.files[name] != nil {
		return nil, &fs.PathError{Op: string(Create), Path: name, Err: fs.ErrExist}
	}
	n := &inode{}
	if does == whole && d.files[name] == nil {
		d.files[name] = n
		d.changes = append(d.changes, change{"", name, n})
	}
	if err != nil {
		return nil, err
	}
	return &file{d, n, name, d.life}, nil
}

// Open implements journal.FS.
func (d *Disk) Open(name string, offset int64) (io.ReadCloser, error) {
	_, err := d.begin(anyLife, Open, name)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := d.files[name]
	if n == nil {
		return nil, &fs.PathError{Op: string(Open), Path: name, Err: fs.ErrNotExist}
	}
	return &reader{file{d, n, name, d.life}, offset}, nil
}

// Rename implements journal.FS.
func (d *Disk) Rename(from, to string) error {
	does, err := d.begin(anyLife, Rename, from)
	defer d.mu.Unlock()
	n := d.files[from]
	if n == nil && err == nil {
		return &fs.PathError{Op: string(Rename), Path: from, Err: fs.ErrNotExist}
	}
	if does == whole && n != nil {
		d.forget(to)
		delete(d.files, from)
		d.files[to] = n
		d.changes = append(d.changes, change{from, to, n})
	}
	return err
}

// Remove implements journal.FS.
func (d *Disk) Remove(name string) error {
	does, err := d.begin(anyLife, Remove, name)
	defer d.mu.Unlock()
	n := d.files[name]
	if n == nil && err == nil {
		return &fs.PathError{Op: string(Remove), Path: name, Err: fs.ErrNotExist}
	}
	if does == whole && n != nil {
		d.forget(name)
		d.changes = append(d.changes, change{name, "", n})
	}
	return err
}

// forget takes a file off, if it is there.
func (d *Disk) forget(name string) {
	if n := d.files[name]; n != nil {
		d.used -= int64(len(n.data))
		delete(d.files, name)
	}
}

// Names implements journal.FS.
func (d *Disk) Names() ([]string, error) {
	_, err := d.begin(anyLife, Names, "")
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.files)), nil
}

// SyncFile implements journal.FS.
func (d *Disk) SyncFile(name string) error {
	does, err := d.begin(anyLife, Sync, name)
	defer d.mu.Unlock()
	n := d.files[name]
	if n == nil && err == nil {
		return &fs.PathError{Op: string(Sync), Path: name, Err: fs.ErrNotExist}
	}
	if does == whole && n != nil {
		n.sync()
	}
	return err
}

// Sync implements journal.FS.
func (d *Disk) Sync() error {
	does, err := d.begin(anyLife, SyncDir, "")
	defer d.mu.Unlock()
	if does == whole {
		d.synced = maps.Clone(d.files)
		d.changes = nil
	}
	return err
}

// file is a file that is being written.
type file struct {
	d    *Disk
	node *inode
	name string
	life int
}

// Write implements io.Writer. One that fails has stored a part.
func (f *file) Write(p []byte) (int, error) {
	d := f.d
	does, err := d.begin(f.life, Write, f.name)
	defer d.mu.Unlock()
	n := len(p)
	switch does {
	case none:
		n = 0
	case part:
		n = d.rand.IntN(n + 1)
	}
	if d.limit >= 0 && d.used+int64(n) > d.limit {
		n = int(max(d.limit-d.used, 0))
		err = &fs.PathError{Op: string(Write), Path: f.name, Err: syscall.ENOSPC}
	}
	if n > 0 {
		f.node.writes = append(f.node.writes, len(f.node.data))
		f.node.data = append(f.node.data, p[:n]...)
		d.used += int64(n)
	}
	return n, err
}

// Sync implements journal.File.
func (f *file) Sync() error {
	does, err := f.d.begin(f.life, Sync, f.name)
	defer f.d.mu.Unlock()
	if does == whole {
		f.node.sync()
	}
	return err
}

func (n *inode) sync() { n.synced, n.writes = len(n.data), n.writes[:0] }

// Close implements io.Closer.
func (f *file) Close() error { return nil }

// reader is a file that is being read.
type reader struct {
	file
	offset int64
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	_, err := r.d.begin(r.life, Read, r.name)
	defer r.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	data := r.node.data
	if r.offset >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[r.offset:])
	r.offset += int64(n)
	return n, nil
}

package faultfs

import (
	"maps"
	"slices"
)

// CrashIn has the nth operation from now crash the machine, or the process: it may be done, in
// part, or not, and all after it fail until Crash or Kill. 0: none does.
func (d *Disk) CrashIn(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashIn = n
}

// Crashed tells whether the crash that CrashIn has set has come.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Kill ends the process and lets the next one begin: files that are open are lost, and nothing
// else. What was not synced still is not.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restart()
}

// Crash ends all and starts the machine again. Each file that was made, renamed or removed
// since the last Sync may have been or not; of what was written to a file and not synced
// anything may be left: nothing, all, a part, or pieces with zeros or other bytes of the file
// between them.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := d.rand.IntN(4) // none, all, each or not
	names := maps.Clone(d.synced)
	for _, c := range d.changes {
		if keep == 0 || keep > 1 && d.rand.IntN(2) == 0 {
			continue
		}
		if c.from != "" && names[c.from] == c.node {
			delete(names, c.from)
		}
		if c.to != "" {
			names[c.to] = c.node
		}
	}
	d.files, d.synced, d.changes, d.used = names, maps.Clone(names), nil, 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		d.tear(n)
		d.used += int64(len(n.data))
	}
	d.restart()
}

func (d *Disk) restart() {
	d.life++
	d.dead = false
	d.crashIn = 0
}

// tear leaves of a file what a crash does.
func (d *Disk) tear(n *inode) {
	old := n.data
	n.data = slices.Clone(old)
	switch kind := d.rand.IntN(4); kind {
	case 0:
		n.data = n.data[:n.synced]
	case 1: // all is kept
	default:
		n.data = n.data[:n.synced+d.rand.IntN(len(old)-n.synced+1)]
		if kind == 3 {
			d.tearPieces(n, old)
		}
	}
	n.sync()
}

// tearPieces replaces some of the writes to a file that were not synced, or their blocks.
func (d *Disk) tearPieces(n *inode, old []byte) {
	const block = 512
	pieces := slices.Clone(n.writes)
	for at := (n.synced/block + 1) * block; at < len(n.data); at += block {
		pieces = append(pieces, at)
	}
	slices.Sort(pieces)
	pieces = append(pieces, len(old))
	for i, from := range pieces[:len(pieces)-1] {
		if from >= len(n.data) {
			return
		}
		piece := n.data[from:min(pieces[i+1], len(n.data))]
		switch d.rand.IntN(6) {
		case 0, 1:
			clear(piece)
		case 2:
			copy(piece, old[d.rand.IntN(from+1):])
		}
	}
}

// Fail has hook called before each operation, with no lock of the disk held: what it returns
// is the operation's error, and a write stores a part then. nil: none.
func (d *Disk) Fail(hook func(op Op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

// Limit has writes fail with syscall.ENOSPC, in part, that would have all files together be
// longer than bytes; negative: none do.
func (d *Disk) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = bytes
}

// Used returns the bytes of all files.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// Files returns a copy of all files.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[string][]byte)
	for name, n := range d.files {
		all[name] = slices.Clone(n.data)
	}
	return all
}

// Put has a file be data, as if it always had been.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(name)
	n := &inode{data: slices.Clone(data), synced: len(data)}
	d.files[name], d.synced[name] = n, n
	d.used += int64(len(data))
}

// Flip changes a bit of a file, counted from its start.
func (d *Disk) Flip(name string, bit int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name].data[bit/8] ^= 1 << (bit % 8)
}

package journal

import (
	"io"
	"os"
	"path/filepath"
)

// FS is a directory of files. Dir is one on disk; others are for tests.
type FS interface {
	// Create makes a file that does not exist yet, to be written from its start.
	Create(name string) (File, error)
	// Open opens a file to be read from offset on.
	Open(name string, offset int64) (io.ReadCloser, error)
	// Rename replaces the file with the new name, if there is one.
	Rename(from, to string) error
	Remove(name string) error
	// Names returns the names of all files.
	Names() ([]string, error)
	// SyncFile is Sync of a file that somebody else has written.
	SyncFile(name string) error
	// Sync has what was created, renamed and removed outlast a crash of the machine.
	Sync() error
}

// File is a file that is written.
type File interface {
	io.WriteCloser
	// Sync has what was written outlast a crash of the machine.
	Sync() error
}

// Dir is the FS of a directory, which exists.
type Dir string

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// Create implements FS. Only the user may read the file: it says who shares what.
func (d Dir) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return newDiskFile(f)
}

// Open implements FS.
func (d Dir) Open(name string, offset int64) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Rename implements FS.
func (d Dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// Remove implements FS.
func (d Dir) Remove(name string) error { return os.Remove(d.path(name)) }

// Names implements FS.
func (d Dir) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// SyncFile implements FS.
func (d Dir) SyncFile(name string) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY, 0) // to read is not enough for all systems
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Sync implements FS. Where the system cannot sync a directory it sees to it by itself.
func (d Dir) Sync() error {
	if !syncsDirs {
		return nil
	}
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

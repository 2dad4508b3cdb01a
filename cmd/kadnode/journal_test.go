package main

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// stored returns a data directory in which a node has kept what a witness has had it store, and
// the name of the log.
func stored(t *testing.T) (w *witness, log string, args []string) {
	t.Helper()
	dir, listen := t.TempDir(), closedPort(t)
	args = []string{"--bootstrap", "none", "--data-dir", dir, "--listen", listen, "--rate-limit", "0", "--http", "none"}
	p, _ := startNode(t, args...)
	w = newWitness(t, netip.MustParseAddrPort(listen), 1, 1)
	w.store(t, 500)
	p.kill()
	logs, _ := filepath.Glob(filepath.Join(dir, journalDir, "*.log"))
	if len(logs) != 1 {
		t.Fatalf("logs: %q", logs)
	}
	return w, logs[0], args
}

// contents returns the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// What a newer version has written is not for this one to touch.
func TestDataOfANewerVersion(t *testing.T) {
	_, log, args := stored(t)
	rewrite(t, log, func(b []byte) {
		const header, version = 24, 8 // there are two of these headers
		for range 2 {
			binary.LittleEndian.PutUint16(b[version:], binary.LittleEndian.Uint16(b[version:])+1)
			sum := crc32.Checksum(b[:header-4], crc32.MakeTable(crc32.Castagnoli))
			binary.LittleEndian.PutUint32(b[header-4:], sum)
			b = b[header:]
		}
	})
	before := contents(t, filepath.Dir(log))
	kadnode(t, args...).expect(t, exitFailed, "written by a newer version of the program")
	if !maps.Equal(contents(t, filepath.Dir(log)), before) {
		t.Error("the files have changed")
	}
}

// A part that the disk has garbled costs what was written with it, and nothing else.
func TestDamagedData(t *testing.T) {
	w, log, args := stored(t)
	rewrite(t, log, func(b []byte) { b[len(b)/2] ^= 1 })
	p, _ := startNode(t, args...)
	p.line("a part of the log is left out")
	looked, lost := w.look(t, 0)
	if len(lost) == 0 || len(lost) > looked/10 {
		t.Errorf("%d of %d lost", len(lost), looked)
	}
	w.store(t, 100)
	if n := p.count(`"level":"ERROR"`); n > 0 {
		t.Errorf("%d errors", n)
	}
}

// rewrite changes a file.
func rewrite(t *testing.T, name string, change func(b []byte)) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	writeFile(t, name, string(b))
}

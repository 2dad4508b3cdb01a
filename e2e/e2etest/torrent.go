package e2etest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// Torrent is a file of random bytes with its .torrent, which names no tracker.
type Torrent struct {
	Dir      string // where the file and the .torrent are
	File     string // the name of the file
	Path     string // the .torrent
	InfoHash string // hex
	Magnet   string // the info-hash and nothing else

	sum [sha1.Size]byte
}

const (
	fileSize  = 2<<20 + 12345 // the last piece is a short one
	pieceSize = 64 << 10
)

// NewTorrent makes a file and its .torrent.
func NewTorrent(t testing.TB) *Torrent {
	t.Helper()
	data := make([]byte, fileSize)
	rand.Read(data)
	var pieces []byte
	for rest := data; len(rest) > 0; rest = rest[min(pieceSize, len(rest)):] {
		sum := sha1.Sum(rest[:min(pieceSize, len(rest))])
		pieces = append(pieces, sum[:]...)
	}
	tor := &Torrent{Dir: t.TempDir(), File: "random.bin", sum: sha1.Sum(data)}
	info := bencode.MustMarshal(map[string]any{
		"length": fileSize, "name": tor.File, "piece length": pieceSize, "pieces": pieces,
	})
	sum := sha1.Sum(info)
	tor.InfoHash = hex.EncodeToString(sum[:])
	tor.Magnet = "magnet:?xt=urn:btih:" + tor.InfoHash
	tor.Path = filepath.Join(tor.Dir, "random.torrent")
	metainfo := bencode.MustMarshal(map[string]any{"info": bencode.Bytes(info)})
	for path, b := range map[string][]byte{filepath.Join(tor.Dir, tor.File): data, tor.Path: metainfo} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tor
}

// MustBeIn fails t unless dir holds the whole file, byte for byte.
func (tor *Torrent) MustBeIn(t testing.TB, dir string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, tor.File))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha1.Sum(got); !bytes.Equal(sum[:], tor.sum[:]) {
		t.Fatalf("%d bytes arrived with SHA-1 %x, want %d with %x", len(got), sum, fileSize, tor.sum)
	}
}

// RandomInfoHash returns an info-hash that nobody has announced, in hex.
func RandomInfoHash() string {
	var h [20]byte
	rand.Read(h[:])
	return hex.EncodeToString(h[:])
}

package e2e

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

// item is a version of an item of BEP 44.
type item struct {
	owner *owner // nil: the item is immutable
	value []byte // bencoded
	seq   int64
	cas   string // when it is put, the version to replace; empty: any
}

func (it *item) target() string {
	if it.owner == nil {
		return hexSum(it.value)
	}
	return it.owner.target()
}

// owner is where a mutable item is, and what signs it.
type owner struct {
	keyFile string
	public  []byte
	salt    []byte
}

// newOwner returns an owner with a key that kadnode makes.
func newOwner(t *testing.T, lab *e2etest.Lab, salt string) *owner {
	t.Helper()
	o := &owner{keyFile: filepath.Join(t.TempDir(), "key.pem"), salt: []byte(salt)}
	out, err := lab.Kadnode(lab.NewHost(t), "keygen", o.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	digits, _, _ := strings.Cut(out, "\n")
	if o.public, err = hex.DecodeString(digits); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *owner) target() string { return hexSum(slices.Concat(o.public, o.salt)) }

// saltHex is the salt as clients take it.
func (o *owner) saltHex() string { return hex.EncodeToString(o.salt) }

// magnet is the link for torrents that the owner publishes (BEP 46).
func (o *owner) magnet() string {
	return "magnet:?xs=urn:btpk:" + hex.EncodeToString(o.public) + "&s=" + o.saltHex()
}

func hexSum(b []byte) string {
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

// newText returns a short string that nobody has put yet, bencoded.
func newText() []byte { return []byte("26:" + rand.Text()) }

// newLongest returns as many bytes as an item can hold, bencoded.
func newLongest() []byte {
	const head = "996:"
	v := append(make([]byte, 0, 1000), head...)[:1000]
	rand.Read(v[len(head):])
	return v
}

// newUpdate returns what publishes a torrent, bencoded (BEP 46).
func newUpdate() []byte {
	v := append([]byte(updateHead), make([]byte, sha1.Size)...)
	rand.Read(v[len(updateHead):])
	return append(v, 'e')
}

const updateHead = "d2:ih20:"

// infoHashOf returns the info-hash in what newUpdate returned.
func infoHashOf(update []byte) string {
	return hex.EncodeToString(update[len(updateHead) : len(update)-1])
}

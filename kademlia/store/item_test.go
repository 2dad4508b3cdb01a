package store

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is a test vector of BEP 44.
type vector struct {
	name, signed, target string
	item                 Item
}

// vectors returns those of BEP 44. Their private key is an expanded one, which
// crypto/ed25519 cannot sign with, so that the signatures are only verified.
func vectors(t *testing.T) []vector {
	t.Helper()
	key := unhex(t, "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
	return []vector{
		{
			"mutable", "3:seqi1e1:v12:Hello World!", "4a533d47ec9c7d95b1ad75f576cffc641853b750",
			Item{V: []byte("12:Hello World!"), K: key, Seq: 1, Sig: unhex(t, "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01")},
		},
		{
			"mutable with salt", "4:salt6:foobar3:seqi1e1:v12:Hello World!", "411eba73b6f087ca51a3795d9c8c938d365e32c1",
			Item{V: []byte("12:Hello World!"), K: key, Salt: []byte("foobar"), Seq: 1, Sig: unhex(t, "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08")},
		},
		{
			"immutable", "", "e5f96f6f38320f0f33959cb4d3d656452117aadb",
			Item{V: []byte("12:Hello World!")},
		},
	}
}

func TestVectorsOfBEP44(t *testing.T) {
	for _, c := range vectors(t) {
		if err := c.item.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := c.item.Target().String(); got != c.target {
			t.Errorf("%s: target %s, want %s", c.name, got, c.target)
		}
		if c.item.Mutable() {
			if got := string(c.item.appendSigned(nil)); got != c.signed {
				t.Errorf("%s: signs %q, want %q", c.name, got, c.signed)
			}
		}
	}
}

func TestSignedItemsVerify(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, salt := range []string{"", "foobar", strings.Repeat("s", MaxSalt)} {
		it, err := Sign(key, []byte(salt), 7, []byte("le"))
		if err != nil || it.Check() != nil {
			t.Fatalf("salt %q: %v, %v", salt, err, it.Check())
		}
		other := it
		other.Seq = 8
		if err := other.Check(); err != ErrBadSignature {
			t.Errorf("salt %q: another seq: %v", salt, err)
		}
		other = it
		other.Sig = nil
		if err := other.Check(); err != ErrBadSignature {
			t.Errorf("salt %q: no signature: %v", salt, err)
		}
	}
}

func TestItemsThatNobodyStores(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	value := func(n int) []byte { // of n bytes in all
		s := strings.Repeat("x", n-len("996:"))
		return []byte("996:" + s)
	}
	if _, err := Immutable(value(MaxValue)); err != nil {
		t.Errorf("a value of %d bytes: %v", MaxValue, err)
	}
	for _, c := range []struct {
		name string
		make func() (Item, error)
		want *krpc.Error
	}{
		{"too long", func() (Item, error) { return Immutable([]byte("997:" + strings.Repeat("x", 997))) }, ErrValueTooBig},
		{"salt too long", func() (Item, error) { return Sign(key, make([]byte, MaxSalt+1), 0, []byte("le")) }, ErrSaltTooBig},
		{"unsorted", func() (Item, error) { return Immutable([]byte("d1:b0:1:a0:e")) }, ErrNotCanonical},
		{"nothing", func() (Item, error) { return Immutable(nil) }, ErrNotCanonical},
		{"two values", func() (Item, error) { return Sign(key, nil, 0, []byte("lele")) }, ErrNotCanonical},
		{"negative seq", func() (Item, error) { return Sign(key, nil, -1, []byte("le")) }, ErrSeqOutOfRange},
	} {
		if _, err := c.make(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	it, err := Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), []byte("salt"), 1, []byte("12:Hello World!"))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { it.Check() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

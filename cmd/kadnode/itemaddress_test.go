package main

import (
	"strings"
	"testing"

	"github.com/kadnode/kadnode/kademlia/store"
)

// The test vectors of BEP 46.
const (
	vectorKey        = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e"
	vectorTarget     = "cc3f9d90b572172053626f9980ce261a850d050b"
	vectorSaltTarget = "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f" // with the salt "n"
)

func TestItemAddresses(t *testing.T) {
	withSalt := salt{[]byte("n"), true}
	for _, tc := range []struct {
		text    string
		salt    salt
		target  string
		torrent bool
	}{
		{"magnet:?xs=urn:btpk:" + vectorKey, salt{}, vectorTarget, true},
		{"magnet:?xs=urn:btpk:" + vectorKey + "&s=6e", salt{}, vectorSaltTarget, true},
		{"MAGNET:?dn=x&s=6E&xs=http://example.com&xs=URN:BTPK:" + strings.ToUpper(vectorKey), salt{}, vectorSaltTarget, true},
		{vectorKey, salt{}, vectorTarget, false},
		{strings.ToUpper(vectorKey), withSalt, vectorSaltTarget, false},
		{vectorTarget, salt{}, vectorTarget, false},
		{vectorTarget, withSalt, vectorTarget, false},
		{"zq7z3efvoilsau3cn6mybtrgdkcq2bil", salt{}, vectorTarget, false},
	} {
		a, err := parseItemAddress(tc.text, tc.salt)
		if err != nil || a.target.String() != tc.target || a.torrent != tc.torrent {
			t.Errorf("%s: %v %v, %v", tc.text, a.target, a.torrent, err)
		}
	}
}

func TestBadItemAddresses(t *testing.T) {
	for _, text := range []string{
		"",
		vectorKey[2:],
		"g" + vectorKey[1:],
		"magnet:?xt=urn:btih:" + vectorTarget,
		"magnet:?xs=urn:btpk:" + vectorTarget,
		"magnet:?xs=urn:btpk:" + vectorKey + "&s=6",
		"magnet:?xs=urn:btpk:" + vectorKey + "&s=" + strings.Repeat("61", 65),
	} {
		if a, err := parseItemAddress(text, salt{}); err == nil {
			t.Errorf("%q is %v", text, a)
		}
	}
	if _, err := parseItemAddress("magnet:?xs=urn:btpk:"+vectorKey, salt{[]byte("n"), true}); err == nil {
		t.Error("two salts")
	}
}

func TestUpdateMagnetsRoundTrip(t *testing.T) {
	key, _ := parsePublicKey(vectorKey)
	for salt, target := range map[string]string{"": vectorTarget, "n": vectorSaltTarget} {
		a, err := parseUpdateMagnet(updateMagnet(key, []byte(salt)))
		if err != nil || a.target.String() != target || string(a.salt) != salt {
			t.Errorf("%q: %v, %v", salt, a, err)
		}
	}
}

// No address has a salt that no item can have.
func FuzzItemAddress(f *testing.F) {
	for _, s := range []string{vectorKey, vectorTarget, "magnet:?xs=urn:btpk:" + vectorKey + "&s=6e", "magnet:?xs=URN:BTPK:&s=%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseItemAddress(s, salt{})
		if err == nil && len(a.salt) > store.MaxSalt {
			t.Fatalf("%q: a salt of %d bytes", s, len(a.salt))
		}
	})
}

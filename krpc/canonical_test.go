package krpc

import (
	"bytes"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

var canonicalValues = []struct {
	value string
	want  bool
}{
	{"12:Hello World!", true},
	{"0:", true},
	{"i-1e", true},
	{"i99999999999999999999999999e", true}, // bencode knows no largest integer
	{"le", true},
	{"de", true},
	{"d0:i1e1:ai1e2:aai1e1:bi1ee", true},
	{"ld1:ali1eeei2ee", true},

	{"", false},
	{"x", false},
	{"i1e ", false},
	{"i1ei1e", false},
	{"5:abc", false},
	{"03:abc", false},
	{"i01e", false},
	{"i-0e", false},
	{"l", false},
	{"d1:ae", false},
	{"di1e1:ae", false},
	{"d1:bi1e1:ai1ee", false},
	{"d1:ai1e1:ai1ee", false},
	{"d0:i1e0:i1ee", false},
	{"ld1:ald1:bi1e1:ai1eeeee", false},
	{strings.Repeat("l", maxDepth-2) + strings.Repeat("e", maxDepth-2), true},
	{strings.Repeat("l", maxDepth-1) + strings.Repeat("e", maxDepth-1), false},
}

func TestCanonical(t *testing.T) {
	for _, c := range canonicalValues {
		if got := Canonical([]byte(c.value)); got != c.want {
			t.Errorf("%.40q: %v, want %v", c.value, got, c.want)
		}
	}
}

// FuzzCanonical holds that a canonical value is what the library writes when it has
// read it.
func FuzzCanonical(f *testing.F) {
	for _, c := range canonicalValues {
		f.Add([]byte(c.value))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		if !Canonical(b) || bencode.Unmarshal(b, &v) != nil {
			return
		}
		if again, err := bencode.Marshal(v); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q is taken for canonical, and written as %q, %v", b, again, err)
		}
	})
}

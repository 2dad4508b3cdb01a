package krpc

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzParseID holds that an ID is read from its 40 digits, and from nothing else.
func FuzzParseID(f *testing.F) {
	f.Add(strings.Repeat("0", 40))
	f.Add(strings.Repeat("aF", 20))
	f.Add(strings.Repeat("0", 39) + "g")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err == nil && id.String() != strings.ToLower(s) || err != nil && id != (ID{}) {
			t.Fatalf("%q is read as %v, %v", s, id, err)
		}
	})
}

// FuzzCompactAddr holds that what is read as an address, with its port, is written the same
// again, but for an IPv4 one in the form of IPv6.
func FuzzCompactAddr(f *testing.F) {
	for _, a := range []string{"192.0.2.1:6881", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:80", "0.0.0.0:0"} {
		b := AppendCompactAddr(nil, netip.MustParseAddrPort(a))
		f.Add(b)
		f.Add(b[:len(b)-portLen])
	}
	f.Add(append(make([]byte, 10), 0xff, 0xff, 192, 0, 2, 1, 0, 80))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := ParseCompactAddr(b)
		if is := slices.Contains([]int{ip4Len, ip6Len, addr4Len, addr6Len}, len(b)); ok != is {
			t.Fatalf("%x is read as %v, %t", b, a, ok)
		}
		if !ok {
			return
		}
		if a.Addr().Is4In6() || a.Addr().Zone() != "" {
			t.Fatalf("%x is read as %v", b, a)
		}
		withPort := len(b) == addr4Len || len(b) == addr6Len
		if !withPort && a.Port() != 0 {
			t.Fatalf("%x has a port: %v", b, a)
		}
		if again := AppendCompactAddr(nil, a); withPort && len(again) == len(b) && !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %v, which is %x", b, a, again)
		}
	})
}

package simnet

import (
	"math"
	"net/netip"
	"testing"
)

// special are the networks of IANA's special-purpose registries, and the
// multicast and reserved ones, in which no public node can be.
var special = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
}

func checkPublic(t *testing.T, a netip.AddrPort) {
	t.Helper()
	if a.Port() != Port {
		t.Fatalf("port of %v", a)
	}
	for _, s := range special {
		if netip.MustParsePrefix(s).Contains(a.Addr()) {
			t.Fatalf("%v is in %s", a, s)
		}
	}
}

// distinct counts the networks of the given length that the first n addresses
// are in.
func distinct(n, bits int, addr func(int) netip.AddrPort) int {
	seen := make(map[netip.Prefix]struct{}, n)
	for i := range n {
		p, _ := addr(i).Addr().Prefix(bits)
		seen[p] = struct{}{}
	}
	return len(seen)
}

func TestAddrIsPublicAndSpread(t *testing.T) {
	for i := 0; i < 300_000; i += 7 {
		checkPublic(t, Addr(i))
	}
	for _, c := range []struct{ n, bits int }{{215, 8}, {55_040, 16}, {200_000, 24}} {
		if got := distinct(c.n, c.bits, Addr); got != c.n {
			t.Errorf("the first %d addresses are in %d networks of /%d", c.n, got, c.bits)
		}
	}
	octets := map[byte]bool{}
	for i := range numPublic8 {
		octets[Addr(i).Addr().As4()[0]] = true
	}
	for _, missing := range []byte(reserved8) {
		if octets[missing] {
			t.Errorf("first octet %d is used", missing)
		}
	}
	if !octets[1] || !octets[223] {
		t.Error("first octets do not reach from 1 to 223")
	}
}

func TestAddrFarOut(t *testing.T) {
	// A /24 is used again after all others, with the next host address.
	a, b := Addr(0).Addr().As4(), Addr(numPublic16*256).Addr().As4()
	if [3]byte(a[:3]) != [3]byte(b[:3]) || b[3] != a[3]+1 {
		t.Errorf("%v, %v", a, b)
	}
	if numAddrs <= math.MaxInt {
		last := numAddrs - 1
		checkPublic(t, Addr(int(last)))
		if got := Addr(int(last)).Addr().As4(); got[0] != 223 || got[1] != 255 {
			t.Errorf("last address %v", got)
		}
	}
}

func TestAddr6IsPublicAndSpread(t *testing.T) {
	for i := 0; i < 300_000; i += 7 {
		checkPublic(t, Addr6(i))
	}
	for _, i := range []int{math.MaxInt32, math.MaxInt} {
		checkPublic(t, Addr6(i))
	}
	for _, bits := range []int{32, 64} {
		if got := distinct(200_000, bits, Addr6); got != 200_000 {
			t.Errorf("the first 200 000 addresses are in %d networks of /%d", got, bits)
		}
	}
	if a, b := Addr6(0).Addr(), Addr6(1<<27).Addr(); a == b || a.As16()[4] != b.As16()[4] {
		t.Errorf("%v, %v", a, b)
	}
}

func TestAddrPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"Addr(-1)":  func() { Addr(-1) },
		"Addr6(-1)": func() { Addr6(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

package krpc

import (
	"net/netip"
	"testing"
)

func TestClass(t *testing.T) {
	classes := map[AddrClass][]string{
		AddrClassPublic: {
			"1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
			"126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0",
			"192.0.2.1", "192.167.255.255", "192.169.0.0", "198.18.0.1", "198.51.100.1",
			"203.0.113.1", "223.255.255.255", "::2", "2001:db8::1", "2606:4700::1111",
			"fbff::1", "fe00::1", "64:ff9b::1.2.3.4",
		},
		AddrClassLocal: {
			"10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
			"127.255.255.255", "169.254.0.0", "169.254.255.255", "172.16.0.0", "172.31.255.255",
			"192.168.0.0", "192.168.255.255", "::1", "fc00::1", "fdff::1", "fe80::1",
			"fe80::1%eth0", "febf::1", "fec0::1", "fec0::1%eth0", "feff::1",
		},
		AddrClassInvalid: {
			"0.0.0.0", "0.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0",
			"255.255.255.254", "255.255.255.255", "::", "::ffff:8.8.8.8", "::ffff:10.0.0.1",
			"ff00::1", "ff02::1", "ffff::1",
		},
	}
	for want, addrs := range classes {
		for _, s := range addrs {
			if got := Class(netip.MustParseAddr(s)); got != want {
				t.Errorf("Class(%s) = %d, want %d", s, got, want)
			}
		}
	}
	if got := Class(netip.Addr{}); got != AddrClassInvalid {
		t.Errorf("Class of the zero Addr = %d, want %d", got, AddrClassInvalid)
	}
}

func TestClassAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	zoned := netip.MustParseAddr("fec0::1%eth0")
	if allocs := testing.AllocsPerRun(100, func() { Class(zoned) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkClass(b *testing.B) {
	for _, s := range []string{"8.8.8.8", "2606:4700::1111"} {
		a := netip.MustParseAddr(s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Class(a)
			}
		})
	}
}

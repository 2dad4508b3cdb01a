package krpc

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"
	"strings"
	"testing"
)

// bep33Vector is the filter of 192.0.2.0 to 192.0.2.255 and 2001:db8:: to
// 2001:db8::3e7, from BEP 33.
const bep33Vector = `
 F6C3F5EA A07FFD91 BDE89F77 7F26FB2B FF37BDB8 FB2BBAA2 FD3DDDE7 BACFFF75 EE7CCBAE
 FE5EEDB1 FBFAFF67 F6ABFF5E 43DDBCA3 FD9B9FFD F4FFD3E9 DFF12D1B DF59DB53 DBE9FA5B
 7FF3B8FD FCDE1AFB 8BEDD7BE 2F3EE71E BBBFE93B CDEEFE14 8246C2BC 5DBFF7E7 EFDCF24F
 D8DC7ADF FD8FFFDF DDFFF7A4 BBEEDF5C B95CE81F C7FCFF1F F4FFFFDF E5F7FDCB B7FD79B3
 FA1FC77B FE07FFF9 05B7B7FF C7FEFEFF E0B8370B B0CD3F5B 7F2BD93F EB4386CF DD6F7FD5
 BFAF2E9E BFFFFEEC D67ADBF7 C67F17EF D5D75EBA 6FFEBA7F FF47A91E B1BFBB53 E8ABFB57
 62ABE8FF 237279BF EFBFEEF5 FFC5FEBF DFE5ADFF ADFEE1FB 737FFFFB FD9F6AEF FEEE76B6
 FD8F72EF`

// run returns n addresses, from the first one on.
func run(first string, n int) []netip.Addr {
	list, a := make([]netip.Addr, 0, n), netip.MustParseAddr(first)
	for ; len(list) < n; a = a.Next() {
		list = append(list, a)
	}
	return list
}

func bloomOf(addrs ...netip.Addr) *Bloom {
	f := new(Bloom)
	for _, a := range addrs {
		f.Insert(a)
	}
	return f
}

func TestBloomVectorOfBEP33(t *testing.T) {
	want, err := hex.DecodeString(strings.Join(strings.Fields(bep33Vector), ""))
	if err != nil {
		t.Fatal(err)
	}
	v4, v6 := run("192.0.2.0", 256), run("2001:db8::", 1000)
	f := bloomOf(v4...)
	f.Union(bloomOf(v6...))
	if !bytes.Equal(f[:], want) {
		t.Errorf("the filter is\n%X, want\n%X", f[:], want)
	}
	if e := f.Estimate(); e < 1224.9308 || e >= 1224.9309 {
		t.Errorf("estimate %v, want 1224.9308 and a bit", e)
	}
	for _, a := range append(v4, v6...) {
		if !f.Contains(a) {
			t.Errorf("%v is not found", a)
		}
	}
	if all := bloomOf(append(v4, v6...)...); *all != *f {
		t.Error("one filter of all is not the union of two")
	}
}

func TestBloomTakesAnAddressOnce(t *testing.T) {
	a := netip.MustParseAddr("192.168.1.1")
	f := bloomOf(a)
	if *bloomOf(a, a, netip.MustParseAddr("::ffff:192.168.1.1")) != *f {
		t.Error("the same address, mapped or not, changed the filter")
	}
	if f.Contains(a.Next()) || new(Bloom).Contains(a) {
		t.Error("an address is found that was not added")
	}
}

func TestBloomContainsErrsAsOftenAsDocumented(t *testing.T) {
	for n, want := range map[int]float64{32: 1.0 / 1100, 1250: 1.0 / 2} {
		f, wrong := bloomOf(run("20.0.0.0", n)...), 0
		for _, a := range run("30.0.0.0", 100_000) {
			if f.Contains(a) {
				wrong++
			}
		}
		if got := float64(wrong) / 100_000; math.Abs(got-want) > want/3 {
			t.Errorf("%d added: %.5f of the others are found, want %.5f", n, got, want)
		}
	}
}

func TestBloomEstimates(t *testing.T) {
	if e := new(Bloom).Estimate(); e != 0 {
		t.Errorf("empty: %v, want 0", e)
	}
	for _, n := range []int{1, 2, 10, 100, 1000, 3000, 5000} {
		e := bloomOf(run("20.0.0.0", n)...).Estimate()
		if most := max(0.5, 0.08*float64(n)); math.Abs(e-float64(n)) > most {
			t.Errorf("%d: estimate %.1f, want it within %.1f", n, e, most)
		}
	}
	var full Bloom
	for i := range full {
		full[i] = 0xff
	}
	if e := full.Estimate(); math.Abs(e-7800) > 50 {
		t.Errorf("full: %v, want about 7 800", e)
	}
}

func TestBloomAllocatesNothing(t *testing.T) {
	f, v4, v6 := new(Bloom), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() {
		f.Insert(v4)
		f.Insert(v6)
		f.Contains(v6)
		f.Estimate()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBloomInsert(b *testing.B) {
	f, a := new(Bloom), netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		f.Insert(a)
	}
}

func BenchmarkBloomUnionAndEstimate(b *testing.B) {
	f, g := new(Bloom), bloomOf(run("192.0.2.0", 256)...)
	b.ReportAllocs()
	for b.Loop() {
		f.Union(g)
		f.Estimate()
	}
}

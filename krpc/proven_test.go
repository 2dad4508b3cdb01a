package krpc

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func provenAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
}

// Who has proved its address is known for half an hour from its last proof, and nobody else.
func TestProofsAreGoodForHalfAnHour(t *testing.T) {
	p, now := NewProven(1024, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	a, b := provenAddr(1), provenAddr(2)
	if p.Has(a, now) || p.Known(now) != 0 {
		t.Error("somebody is known from the start")
	}
	p.Add(a, now)
	p.Add(a, now.Add(10*time.Minute))
	for after, want := range map[time.Duration]bool{10 * time.Minute: true, 40 * time.Minute: true, 41 * time.Minute: false} {
		if got := p.Has(a, now.Add(after)); got != want {
			t.Errorf("known %v after: %v", after, got)
		}
		if p.Has(b, now.Add(after)) {
			t.Error("somebody else is known")
		}
	}
	if n := p.Known(now.Add(10 * time.Minute)); n != 1 {
		t.Errorf("%d addresses are known", n)
	}
}

// An address of IPv6 stands for its /48.
func TestASiteProvesItsNetwork(t *testing.T) {
	p, now := NewProven(64, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	p.Add(netip.MustParseAddr("2001:db8:0:1::1"), now)
	if !p.Has(netip.MustParseAddr("2001:db8:0:2::1"), now) || p.Has(netip.MustParseAddr("2001:db8:1:1::1"), now) {
		t.Error("want all of the /48, and nobody else")
	}
}

// It is known since when an address has been proven without a gap, for some minutes.
func TestProofsHaveAnAge(t *testing.T) {
	p, now := NewProven(1024, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	h := p.hash(provenAddr(1))
	expect := func(want time.Duration, proven bool) {
		t.Helper()
		if got, ok := p.since(h, now); ok != proven || ok && got != want {
			t.Errorf("proven for %v (%v), want %v (%v)", got, ok, want, proven)
		}
	}
	if _, ok := p.touch(h, now); ok {
		t.Error("who was not there is")
	}
	expect(0, false)
	p.add(h, now)
	now = now.Add(time.Minute)
	expect(time.Minute, true)
	p.add(h, now)
	now = now.Add(time.Minute)
	if since, ok := p.touch(h, now); !ok || since != 2*time.Minute {
		t.Errorf("touched after %v (%v)", since, ok)
	}
	p.restart(h, now)
	expect(0, true)
	now = now.Add(10 * time.Minute)
	expect(math.MaxInt64, true)
	now = now.Add(provenAge)
	expect(0, false)
	p.add(h, now)
	expect(0, true)
	p.remove(h)
	expect(0, false)
	if _, ok := p.touch(h, now); ok {
		t.Error("who was removed is there")
	}
}

// A full Proven forgets the oldest, and is never fuller than full.
func TestTheOldestProofGivesWay(t *testing.T) {
	const cells, all = 1024, 8000
	p, now := NewProven(cells, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	for i := range all {
		now = now.Add(100 * time.Millisecond)
		p.Add(provenAddr(i), now)
	}
	if n := p.Known(now); n != cells || p.Cells() != cells {
		t.Errorf("%d known in %d cells, want %d", n, p.Cells(), cells)
	}
	kept := 0
	for i := all - cells/4; i < all; i++ {
		if p.Has(provenAddr(i), now) {
			kept++
		}
	}
	if kept < cells/4*95/100 {
		t.Errorf("%d of the last %d are known", kept, cells/4)
	}
	strangers := 0
	for i := range 100_000 {
		if p.Has(provenAddr(all+i), now) {
			strangers++
		}
	}
	if strangers > 0 {
		t.Errorf("%d strangers are known", strangers)
	}
	if (*Proven)(nil).Has(provenAddr(1), now) || (*Proven)(nil).Cells()+(*Proven)(nil).Known(now) > 0 {
		t.Error("nobody knows somebody")
	}
}

func TestProvenAllocatesNothing(t *testing.T) {
	p, now := NewProven(1024, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	p.Add(provenAddr(0), now)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		i++
		p.Add(provenAddr(i), now)
		p.Has(provenAddr(i), now)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkProvenAdd(b *testing.B) {
	p, now := NewProven(DefaultProvenCells, rand.New(rand.NewPCG(1, 2))), time.Unix(1e9, 0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		p.Add(provenAddr(i), now)
	}
}

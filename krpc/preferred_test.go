package krpc

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// A site of IPv6 has one mark.
func TestMarksAreForSites(t *testing.T) {
	k := newPreferredKey(rand.New(rand.NewPCG(1, 2)))
	mark := func(a string) uint32 { return k.Mark(netip.MustParseAddr(a)) }
	if mark("2001:db8:1:2::3") != mark("2001:db8:1:ffff::1") || mark("2001:db8:1::1") == mark("2001:db8:2::1") ||
		mark("2001:db8:1::1") == mark("2001:db9:1::1") || mark("20.0.0.1") == mark("20.0.0.2") {
		t.Error("want one mark for all of a /48, and others for others")
	}
}

// Sources that follow each other, as those of one network do, do not crowd into few marks.
func TestNeighboursHaveMarksOfTheirOwn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := Preferred{Key: newPreferredKey(r)}
		for i := range 1024 {
			m := p.Key.Mark(netip.AddrFrom4([4]byte{20, 1, byte(i >> 8), byte(i)}))
			p.Marks[m>>5] |= 1 << (m & 31)
		}
		if fill := p.fill(); fill < .04 {
			t.Errorf("key %#x: 1024 neighbours have %.4f of the marks", p.Key, fill)
		}
	}
}

// What the kernel is told ten times a second in a flood, of full tables.
func BenchmarkPreferred(b *testing.B) {
	s := newStrainLab(nil, nil)
	r := rand.New(rand.NewPCG(1, 2))
	asked := newSightings(DefaultProvenCells)
	s.endpoint.cfg.Proven, s.endpoint.asked = NewProven(DefaultProvenCells, r), &asked
	for i := range 1 << 16 {
		s.endpoint.cfg.Proven.Add(provenAddr(i), s.now)
		s.endpoint.asked.add(s.endpoint.cfg.Proven.hash(provenAddr(i)), s.now)
	}
	s.now = s.now.Add(time.Minute)
	s.transport.strained = true
	s.ask(1, nil)
	b.ReportAllocs()
	for b.Loop() {
		s.endpoint.preferred(s.now)
	}
}

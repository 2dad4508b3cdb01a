package store

import (
	"net/netip"
	"testing"
	"time"
)

// inSite returns an address in the ith /64 of a /48.
func inSite(site uint16, i int) netip.Addr {
	b := [16]byte{0x2a, 2, 4: byte(site >> 8), 5: byte(site), 6: byte(i >> 8), 7: byte(i), 15: 1}
	return netip.AddrFrom16(b)
}

func visitor(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{70, byte(i >> 16), byte(i >> 8), byte(i)})
}

// flooded plays a flood of so many bad signatures a second, for a minute, and returns how many were
// verified. each is told of each second.
func flooded(f *forgeries, now time.Time, rate int, source func(int) netip.Addr, each func(second int, now time.Time)) (verified int) {
	for i := range 60 * rate {
		now := now.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if from := source(i); f.allows(from, now) {
			verified++
			f.verified(from, false, now)
		}
		if i%rate == rate-1 {
			each(i/rate, now)
		}
	}
	return verified
}

func forger(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{30, byte(i >> 16), byte(i >> 8), byte(i)})
}

// A forger has five signatures verified, and one in ten seconds from then on; others any number.
func TestForgersAreNotVerifiedForLong(t *testing.T) {
	var f forgeries
	now := time.Unix(1e9, 0)
	verified := 0
	for i := range 600 { // a minute
		now := now.Add(time.Duration(i) * 100 * time.Millisecond)
		if f.allows(forger(1), now) {
			verified++
			f.verified(forger(1), false, now)
		}
		if !f.allows(forger(2), now) {
			t.Fatal("an honest source is not heard")
		}
		f.verified(forger(2), true, now)
	}
	if verified < forgeryBurst+5 || verified > forgeryBurst+6 {
		t.Errorf("%d signatures of a forger are verified in a minute", verified)
	}
}

// Very many forgers do not get more than 500 a second verified, and those who put what is genuine
// go on.
func TestManyForgersHaveABudget(t *testing.T) {
	var f forgeries
	now, signer := time.Unix(1e9, 0), forger(0)
	f.verified(forger(1), false, now)
	f.verified(signer, true, now)
	verified, refused := 0, 0
	for i := range 100_000 { // in ten seconds, each from another source
		now := now.Add(time.Duration(i) * 100 * time.Microsecond)
		if from := forger(2 + i); f.allows(from, now) {
			verified++
			f.verified(from, false, now)
		}
		if !f.allows(signer, now) {
			refused++
		}
	}
	if verified > forgeriesRate*11+10 || refused > 0 {
		t.Errorf("%d bad signatures verified in 10 s, an honest source refused %d times", verified, refused)
	}
}

// A site with all its 65 536 /64 is one source: it denies nobody anything.
func TestOneSiteHasTheBudgetOfOne(t *testing.T) {
	for _, rate := range []int{100, 500, 2000} {
		f, now := forgeries{seed: [2]uint64{1, 2}}, time.Unix(1e9, 0)
		verified := flooded(&f, now, rate, func(i int) netip.Addr { return inSite(7, i) }, func(s int, now time.Time) {
			for i := range 100 {
				if !f.allows(visitor(100*s+i), now) || !f.allows(inSite(8, i), now) {
					t.Fatal("a newcomer is refused")
				}
			}
		})
		if verified < forgeryBurst+5 || verified > forgeryBurst+6 {
			t.Errorf("%d a second: %d signatures of a site are verified in a minute", rate, verified)
		}
	}
}

// Who has signed well within half an hour, before anybody forged, is heard whatever others do:
// also when the budget of all is spent.
func TestSignersAreAlwaysHeard(t *testing.T) {
	for name, source := range map[string]func(int) netip.Addr{
		"many sources": forger,
		"many sites":   func(i int) netip.Addr { return inSite(uint16(i%50_000), i) },
	} {
		f, now := forgeries{seed: [2]uint64{1, 2}}, time.Unix(1e9, 0)
		signers := []netip.Addr{visitor(1), visitor(2), inSite(60_000, 1)}
		for _, a := range signers {
			f.verified(a, true, now)
		}
		now = now.Add(20 * time.Minute)
		flooded(&f, now, 2000, source, func(s int, now time.Time) {
			for _, a := range signers {
				if !f.allows(a, now) {
					t.Fatalf("%s: %v is refused in second %d", name, a, s)
				}
			}
		})
	}
}

// A forger who has put something genuine first has little more verified than another.
func TestAForgerWhoSignsWellHasARate(t *testing.T) {
	f, now := forgeries{seed: [2]uint64{1, 2}}, time.Unix(1e9, 0)
	verified := flooded(&f, now, 100, func(int) netip.Addr { return forger(1) }, func(_ int, now time.Time) {
		f.verified(forger(1), true, now)
	})
	if most := signerBurst + forgeryBurst + 14; verified > most {
		t.Errorf("%d signatures are verified in a minute, want up to %d", verified, most)
	}
}

// Any number of forgers, all of whom sign well too, have what the cells have: 910 a second.
func TestForgersWhoSignWellHaveABudget(t *testing.T) {
	f, now := forgeries{seed: [2]uint64{1, 2}}, time.Unix(1e9, 0)
	source := func(i int) netip.Addr { return forger(i % 6000) }
	for i := range 6000 {
		f.verified(source(i), true, now)
	}
	verified := flooded(&f, now, 4000, source, func(int, time.Time) {})
	const most = 61*forgeriesRate + 6*signerCells + signerBurst*signerCells
	if verified > most {
		t.Errorf("%d bad signatures verified in a minute, want up to %d", verified, most)
	}
}

// As long as the budget of all is not spent, newcomers are heard: forgers leave cells for them.
func TestForgersLeaveNewcomersTheirCells(t *testing.T) {
	for _, once := range []int{1, 2, 3, 5} { // bad signatures of a source
		f, now := forgeries{seed: [2]uint64{1, 2}}, time.Unix(1e9, 0)
		refused := 0
		flooded(&f, now, forgeriesRate-5, func(i int) netip.Addr { return forger(i / once) }, func(s int, now time.Time) {
			for i := range 2000 {
				if !f.allows(visitor(2000*s+i), now) {
					refused++
				}
			}
		})
		t.Logf("%d of each: %d of 120 000 newcomers are refused", once, refused)
		if refused > 12 {
			t.Errorf("%d of each: %d of 120 000 newcomers are refused", once, refused)
		}
	}
}

func TestForgeriesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f, now, i := forgeries{}, time.Unix(1e9, 0), 0
	if n := testing.AllocsPerRun(100, func() {
		i++
		for _, a := range []netip.Addr{forger(i), inSite(uint16(i), i)} {
			f.verified(a, f.allows(a, now) && i%2 == 0, now)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package store

import (
	"net/netip"
	"testing"
	"time"
)

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

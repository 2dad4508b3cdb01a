package tracker

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// numberedHash returns one of any number of info-hashes.
func numberedHash(n int) (ih krpc.ID) {
	binary.BigEndian.PutUint64(ih[:], uint64(n)*0x9e3779b97f4a7c15)
	return ih
}

// flood announces n info-hashes from the addresses of one subnet, and returns how many were taken.
func flood(t *testing.T, s *Swarms, n int, addr func(int) netip.AddrPort) (taken int) {
	t.Helper()
	for i := range n {
		ih, peer := numberedHash(i), addr(i)
		full := s.Full(ih, peer.Addr(), start)
		err := s.Announce(ih, peer, false, start)
		switch {
		case err == nil:
			taken++
		case !errors.Is(err, ErrSubnetFull) && !errors.Is(err, ErrFull):
			t.Fatal(err)
		}
		if full != (err != nil) {
			t.Fatalf("announce %d: full is %v, the error %v", i, full, err)
		}
	}
	return taken
}

// One subnet that announces a million info-hashes fills a small part of the store.
func TestOneSubnetTakesAPartOfTheStore(t *testing.T) {
	for name, addr := range map[string]func(int) netip.AddrPort{
		"a /24": func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 1, 2, byte(i)}), 6881)
		},
		"a /64": func(i int) netip.AddrPort {
			b := [16]byte{0x2a, 1, 7: 9}
			binary.BigEndian.PutUint64(b[8:], uint64(i))
			return netip.AddrPortFrom(netip.AddrFrom16(b), 6881)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwarms(SwarmsConfig{})
			taken := flood(t, s, 1_000_000, addr)
			t.Logf("%d info-hashes of %d", taken, s.Stats().MaxHashes)
			if most := s.Stats().MaxHashes / 24; taken < most/2 || taken > most {
				t.Errorf("%d info-hashes are taken, want up to %d", taken, most)
			}
			if other := publicPeer(1 << 16); s.Announce(numberedHash(-1), other, false, start) != nil {
				t.Error("others are refused")
			}
			if err := s.Announce(numberedHash(-1), addr(1), false, start); err != nil {
				t.Errorf("to join others: %v", err)
			}
			if again := flood(t, s, 1000, addr); again == 0 {
				t.Error("it cannot announce again what it has announced")
			}
			later := start.Add(2 * time.Hour)
			for i := range 1000 {
				if err := s.Announce(numberedHash(i), addr(i), false, later); err != nil {
					t.Fatalf("after the first ones have expired: %v", err)
				}
			}
		})
	}
}

// A private network sits in one subnet, and may fill the store.
func TestALocalSubnetHasNoBound(t *testing.T) {
	s := newSwarms(SwarmsConfig{MaxHashes: 10_000})
	taken := flood(t, s, 10_000, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 6881)
	})
	if taken < 9000 {
		t.Errorf("%d info-hashes are taken", taken)
	}
}

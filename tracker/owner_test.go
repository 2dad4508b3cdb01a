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
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
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

// joined has the first one begin n info-hashes, and the second one join them.
func joined(t *testing.T, s *Swarms, n int, first, second netip.AddrPort) {
	t.Helper()
	for i := range n {
		mustAnnounce(t, s, numberedHash(i), first, true, start)
		mustAnnounce(t, s, numberedHash(i), second, false, start)
	}
}

var beginners = map[string]netip.AddrPort{
	"a /24": netip.MustParseAddrPort("20.1.2.3:6881"),
	"a /48": netip.MustParseAddrPort("[2a01:1:1:7::3]:6881"),
}

// charged returns how many info-hashes somebody is charged for.
func charged(s *Swarms) (n int) {
	for i := range s.shards {
		for _, has := range s.shards[i].owners {
			n += int(has)
		}
	}
	return n
}

// Who has left is not charged for what others keep alive, in whichever family.
func TestOwnersWhoHaveLeftAreNotCharged(t *testing.T) {
	for name, first := range beginners {
		for _, other := range []netip.AddrPort{publicPeer(70_000), netip.MustParseAddrPort("[2a01:1:2::1]:1")} {
			t.Run(name, func(t *testing.T) {
				const n = 2000
				s := newSwarms(SwarmsConfig{})
				joined(t, s, n, first, other)
				if got := charged(s); got != n {
					t.Fatalf("charged for %d info-hashes, want %d", got, n)
				}
				lifetime := time.Duration(s.limits.life) * tickLength
				now := start.Add(lifetime / 2)
				for i := range n {
					mustAnnounce(t, s, numberedHash(i), other, false, now)
					if i < n/4 { // another host of the network is as good
						mustAnnounce(t, s, numberedHash(i), netip.AddrPortFrom(first.Addr().Next(), 1), false, now)
					}
				}
				now = now.Add(lifetime/2 + 2*tickLength)
				for s.Expire(now).Sub(now) == sweepPause {
				}
				if got := charged(s); got != n/4 {
					t.Errorf("charged for %d info-hashes, want %d", got, n/4)
				}
				checkBooks(t, s)
			})
		}
	}
}

// An owner whose last peer gives way to others in a full swarm is not charged; it is while another of
// its peers takes that place.
func TestOwnersWhoAreReplacedAreNotCharged(t *testing.T) {
	for name, first := range beginners {
		t.Run(name, func(t *testing.T) {
			addr, others := first.Addr(), publicPeer
			if addr.Is6() {
				others = func(n int) netip.AddrPort {
					b := [16]byte{0x2a, 2, 5: byte(n), 15: 1}
					return netip.AddrPortFrom(netip.AddrFrom16(b), 6881)
				}
			}
			s := newSwarms(SwarmsConfig{MaxPeers: 3})
			for _, step := range []struct {
				peer netip.AddrPort
				want int
			}{
				{first, 1}, {others(1), 1}, {others(2), 1},
				{netip.AddrPortFrom(addr.Next(), 1), 1}, // in the place of the first
				{others(3), 1}, {others(4), 1}, {others(5), 0},
				{first, 0}, // he only joins now
			} {
				mustAnnounce(t, s, numberedHash(0), step.peer, false, start)
				if got := charged(s); got != step.want {
					t.Fatalf("after %v: charged for %d, want %d", step.peer, got, step.want)
				}
				checkBooks(t, s)
			}
		})
	}
}

// After a restart only who is alone in a swarm is charged: others perhaps only joined.
func TestWhoOnlyJoinedIsNotChargedAfterARestart(t *testing.T) {
	for name, first := range beginners {
		t.Run(name, func(t *testing.T) {
			s := newSwarms(SwarmsConfig{})
			joined(t, s, 100, publicPeer(70_000), first)
			for i := range 50 {
				mustAnnounce(t, s, numberedHash(1000+i), first, false, start)
				mustAnnounce(t, s, numberedHash(1000+i), netip.AddrPortFrom(first.Addr().Next(), 1), false, start)
			}
			now := start.Add(time.Minute)
			again := restarted(t, SwarmsConfig{}, snapshot(s, now), now)
			if got := charged(again); got != 50 {
				t.Errorf("charged for %d info-hashes, want 50", got)
			}
			checkRestored(t, again)
		})
	}
}

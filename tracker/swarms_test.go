package tracker

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func newSwarms(cfg SwarmsConfig) *Swarms {
	cfg.Rand = rand.New(rand.NewPCG(1, 2))
	return NewSwarms(cfg, start)
}

func hashOf(n int) (ih krpc.ID) {
	binary.BigEndian.PutUint32(ih[16:], uint32(n))
	return ih
}

// publicPeer returns the nth of many peers, each in a /24 of its own.
func publicPeer(n int) netip.AddrPort {
	a := netip.AddrFrom4([4]byte{byte(16 + n>>16), byte(n >> 8), byte(n), 7})
	return netip.AddrPortFrom(a, 6881)
}

func mustAnnounce(t testing.TB, s *Swarms, ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) {
	t.Helper()
	if err := s.Announce(ih, peer, seed, now); err != nil {
		t.Fatalf("announce of %v: %v", peer, err)
	}
}

// peersOf returns all peers of a family, sorted.
func peersOf(s *Swarms, ih krpc.ID, o SampleOptions, now time.Time) []netip.AddrPort {
	o.Max = 1 << 20
	m := krpc.Message{Values: s.Sample(nil, ih, o, now)}
	peers := slices.Collect(m.EachPeer)
	slices.SortFunc(peers, netip.AddrPort.Compare)
	return peers
}

func wantPeers(t *testing.T, s *Swarms, ih krpc.ID, now time.Time, want ...string) {
	t.Helper()
	var addrs []netip.AddrPort
	for _, w := range want {
		addrs = append(addrs, netip.MustParseAddrPort(w))
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	if got := peersOf(s, ih, SampleOptions{}, now); !slices.Equal(got, addrs) {
		t.Fatalf("peers %v, want %v", got, addrs)
	}
}

func wantFull(t *testing.T, s *Swarms, ih krpc.ID, addr string, now time.Time, want bool) {
	t.Helper()
	if got := s.Full(ih, netip.MustParseAddr(addr), now); got != want {
		t.Fatalf("full for %s: %v, want %v", addr, got, want)
	}
}

func announceAll(t *testing.T, s *Swarms, ih krpc.ID, now time.Time, peers ...string) {
	t.Helper()
	for _, p := range peers {
		mustAnnounce(t, s, ih, netip.MustParseAddrPort(p), false, now)
	}
}

func TestSwarmsKeepFamiliesAndHashesApart(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	announceAll(t, s, hashOf(1), start, "20.1.1.1:6881", "[2a01::1]:6882")
	announceAll(t, s, hashOf(2), start, "20.1.1.2:6881")

	got := s.Sample(nil, hashOf(1), SampleOptions{Max: 10}, start)
	if want := []byte("6:\x14\x01\x01\x01\x1a\xe1"); !bytes.Equal(got, want) {
		t.Errorf("IPv4 values %q, want %q", got, want)
	}
	got = s.Sample([]byte("x"), hashOf(1), SampleOptions{V6: true, Max: 10}, start)
	want := krpc.AppendPeer([]byte("x"), netip.MustParseAddrPort("[2a01::1]:6882"))
	if !bytes.Equal(got, want) {
		t.Errorf("IPv6 values %q, want %q", got, want)
	}
	wantPeers(t, s, hashOf(2), start, "20.1.1.2:6881")
	wantPeers(t, s, hashOf(3), start)
	if got := s.Sample(nil, hashOf(1), SampleOptions{Max: 0}, start); got != nil {
		t.Errorf("a sample of none: %q", got)
	}
}

func TestSwarmsRefreshUpdatesSeedAndAge(t *testing.T) {
	s, ih, later := newSwarms(SwarmsConfig{}), hashOf(1), start.Add(40*time.Minute)
	peer := netip.MustParseAddrPort("20.1.1.1:6881")
	mustAnnounce(t, s, ih, peer, false, start)
	mustAnnounce(t, s, ih, peer, true, later)

	if seeds, leechers := s.Count(ih, later); seeds != 1 || leechers != 0 {
		t.Errorf("%d seeds and %d leechers, want one seed", seeds, leechers)
	}
	wantPeers(t, s, ih, later.Add(45*time.Minute), "20.1.1.1:6881")
	if st := s.Stats(); st.Peers4 != 1 || st.Seeds4 != 1 || st.Hashes != 1 || st.Replaced != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestSwarmsNoSeedLeavesSeedsOut(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	for n := range 100 {
		mustAnnounce(t, s, ih, publicPeer(n), n%4 != 0, start)
	}
	got := peersOf(s, ih, SampleOptions{NoSeed: true}, start)
	if len(got) != 25 {
		t.Fatalf("%d leechers, want 25", len(got))
	}
	for i, p := range got {
		if p != publicPeer(4*i) {
			t.Errorf("%v is no leecher", p)
		}
	}
	if seeds, leechers := s.Count(ih, start); seeds != 75 || leechers != 25 {
		t.Errorf("counted %d and %d", seeds, leechers)
	}
}

func TestSwarmsAddressReplacesItsOwnOldestPeer(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	announceAll(t, s, ih, start, "20.1.1.1:1", "20.1.1.2:9", "20.1.1.1:2")
	announceAll(t, s, ih, start, "20.1.1.1:1") // now 2 is the older one
	wantFull(t, s, ih, "20.1.1.1", start, false)
	announceAll(t, s, ih, start, "20.1.1.1:3")
	wantPeers(t, s, ih, start, "20.1.1.1:1", "20.1.1.1:3", "20.1.1.2:9")

	announceAll(t, s, ih, start, "[2a01::1]:1", "[2a01::1]:2", "[2a01::1]:3", "[2a01::2]:1")
	if n := len(peersOf(s, ih, SampleOptions{V6: true}, start)); n != 3 {
		t.Errorf("%d IPv6 peers, want 3", n)
	}
}

func TestSwarmsSubnetGetsItsFillAndNoMore(t *testing.T) {
	for name, subnet := range map[string]struct{ in, next, out string }{
		"a /24": {"20.1.1.0", "20.1.1.200", "20.1.2.1"},
		"a /64": {"2a01:0:0:1::", "2a01:0:0:1:ffff::1", "2a01:0:0:2::1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
			addr := netip.MustParseAddr(subnet.in)
			for range 16 {
				addr = addr.Next()
				mustAnnounce(t, s, ih, netip.AddrPortFrom(addr, 6881), false, start)
			}
			next := netip.AddrPortFrom(netip.MustParseAddr(subnet.next), 6881)
			wantFull(t, s, ih, subnet.next, start, true)
			if err := s.Announce(ih, next, false, start); err != ErrSubnetFull {
				t.Fatalf("the 17th: %v, want ErrSubnetFull", err)
			}
			if n := s.Stats().RefusedSubnet; n != 2 {
				t.Errorf("%d refused, want the token and the announce", n)
			}
			wantFull(t, s, ih, subnet.out, start, false)
			wantFull(t, s, hashOf(2), subnet.next, start, false)

			// One that is stored stays welcome; it may refresh, or move to another port.
			wantFull(t, s, ih, addr.String(), start, false)
			mustAnnounce(t, s, ih, netip.AddrPortFrom(addr, 6881), true, start)

			// Expired peers hold no place.
			later := start.Add(46 * time.Minute)
			wantFull(t, s, ih, subnet.next, later, false)
			mustAnnounce(t, s, ih, next, false, later)
		})
	}
}

// A site has so many /64 that they are no bound to it.
func TestSwarmsSiteHasThePlacesOfEightSubnets(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	stored, addr := 0, netip.MustParseAddr("2a01:0:1::1").As16()
	for i := range 1 << 12 {
		addr[6], addr[7] = byte(i>>8), byte(i)
		if s.Announce(ih, netip.AddrPortFrom(netip.AddrFrom16(addr), 6881), false, start) == nil {
			stored++
		}
	}
	if stored != 8*16 {
		t.Errorf("%d peers of one site are stored, want %d", stored, 8*16)
	}
	wantFull(t, s, ih, "2a01:0:2::1", start, false)
}

func TestSwarmsLocalAddressesHaveNoCaps(t *testing.T) {
	for _, a := range []string{
		"127.0.0.1", "10.1.1.1", "172.16.3.4", "192.168.1.9", "169.254.1.1", "100.64.1.1", "::1", "fd00::1", "fe80::1",
	} {
		s, ih, addr := newSwarms(SwarmsConfig{}), hashOf(1), netip.MustParseAddr(a)
		for port := range uint16(300) {
			mustAnnounce(t, s, ih, netip.AddrPortFrom(addr, 1+port), false, start)
		}
		if n := len(peersOf(s, ih, SampleOptions{V6: addr.Is6()}, start)); n != 300 {
			t.Errorf("%s: %d peers, want 300", a, n)
		}
		if next := addr.Next(); krpc.Class(next) == krpc.AddrClassLocal {
			wantFull(t, s, ih, next.String(), start, false)
		}
	}
}

func TestSwarmsCrowdedSwarmReplacesTheOldestPeer(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{MaxPeers: 3}), hashOf(1)
	announceAll(t, s, ih, start, "20.1.1.1:1", "20.1.2.1:1", "20.1.3.1:1", "20.1.1.1:1")
	wantFull(t, s, ih, "20.1.4.1", start, false)
	announceAll(t, s, ih, start, "20.1.4.1:1")
	wantPeers(t, s, ih, start, "20.1.1.1:1", "20.1.3.1:1", "20.1.4.1:1")
	if n := s.Stats().Replaced; n != 1 {
		t.Errorf("%d replaced, want 1", n)
	}
}

func TestSwarmsFullStoreKeepsWhatIsInUse(t *testing.T) {
	const idle = 30*time.Minute + 2*tickLength // two thirds of a lifetime, in coarse ticks
	s := newSwarms(SwarmsConfig{MaxHashes: 3})
	for n := range 3 {
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, start)
	}
	wantFull(t, s, hashOf(9), "20.9.9.9", start, true)
	if err := s.Announce(hashOf(9), publicPeer(9), false, start); err != ErrFull {
		t.Fatalf("announce of a fourth info-hash: %v, want ErrFull", err)
	}
	wantFull(t, s, hashOf(1), "20.9.9.9", start, false)
	if st := s.Stats(); st.RefusedFull != 2 || st.Hashes != 3 || st.MaxHashes != 3 {
		t.Errorf("stats %+v", st)
	}

	// A lookup and an announce are use; the third one has been left alone.
	s.Sample(nil, hashOf(0), SampleOptions{Max: 1}, start.Add(20*time.Minute))
	mustAnnounce(t, s, hashOf(1), publicPeer(1), false, start.Add(20*time.Minute))
	now := start.Add(idle)
	wantFull(t, s, hashOf(9), "20.9.9.9", now, false)
	mustAnnounce(t, s, hashOf(9), publicPeer(9), false, now)
	if got := peersOf(s, hashOf(2), SampleOptions{}, now); len(got) != 0 {
		t.Errorf("the idle swarm still holds %v", got)
	}
	if err := s.Announce(hashOf(10), publicPeer(10), false, now); err != ErrFull {
		t.Errorf("announce with every swarm in use: %v, want ErrFull", err)
	}
	if n := s.Stats().Evicted; n != 1 {
		t.Errorf("%d evicted, want 1", n)
	}
}

func TestSwarmsLookupDoesNotKeepTheDead(t *testing.T) {
	s := newSwarms(SwarmsConfig{MaxHashes: 1})
	mustAnnounce(t, s, hashOf(1), publicPeer(1), false, start)
	now := start.Add(46 * time.Minute)
	if got := peersOf(s, hashOf(1), SampleOptions{}, now); len(got) != 0 {
		t.Fatalf("expired peers handed out: %v", got)
	}
	mustAnnounce(t, s, hashOf(2), publicPeer(2), false, now)
	if st := s.Stats(); st.Evicted != 0 || st.Expired != 1 || st.Peers4 != 1 {
		t.Errorf("stats %+v, want one peer expired and none evicted", st)
	}
}

func TestSwarmsByteBudgetWithholdsGrowth(t *testing.T) {
	// One array of 3072 bytes fits, the next larger one does not.
	s, ih := newSwarms(SwarmsConfig{MaxBytes: 3900}), hashOf(1)
	const fit = 3072 / width4
	for n := range fit {
		wantFull(t, s, ih, publicPeer(n).Addr().String(), start, false)
		mustAnnounce(t, s, ih, publicPeer(n), false, start)
	}
	if err := s.Announce(ih, publicPeer(fit), false, start); err != ErrFull {
		t.Fatalf("announce beyond the budget: %v, want ErrFull", err)
	}
	wantFull(t, s, ih, "20.9.9.9", start, true)
	wantFull(t, s, ih, publicPeer(0).Addr().String(), start, false)
	mustAnnounce(t, s, ih, publicPeer(0), true, start)

	// What is left is enough for a small swarm, and then for none.
	mustAnnounce(t, s, hashOf(2), publicPeer(1), false, start)
	wantFull(t, s, hashOf(3), "20.9.9.9", start, true)
	if st := s.Stats(); st.Bytes > st.MaxBytes || st.Peers4 != fit+1 {
		t.Errorf("stats %+v", st)
	}

	later := start.Add(46 * time.Minute)
	wantFull(t, s, ih, "20.9.9.9", later, false)
	wantFull(t, s, hashOf(3), "20.9.9.9", later, false)
}

func TestSwarmsExpiredPeersOfOneFamilyMakeRoomForTheOther(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{MaxBytes: 3900}), hashOf(1)
	for n := range 3072 / width4 {
		mustAnnounce(t, s, ih, publicPeer(n), false, start)
	}
	now := start.Add(46 * time.Minute)
	for n := range byte(100) {
		addr := netip.AddrFrom16([16]byte{0x2a, 1, 7: n})
		mustAnnounce(t, s, ih, netip.AddrPortFrom(addr, 6881), false, now)
	}
	if st := s.Stats(); st.Peers4 != 0 || st.Peers6 != 100 || st.Expired != 384 {
		t.Errorf("stats %+v", st)
	}
}

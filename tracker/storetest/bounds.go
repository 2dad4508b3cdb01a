package storetest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/tracker"
)

var boundScenarios = []scenario{
	{"info-hashes are bounded", testMaxHashes},
	{"bytes are bounded", testMaxBytes},
	{"idle info-hashes give way", testIdleGiveWay},
	{"a swarm is bounded", testMaxPeers},
	{"an address is bounded", testMaxPeersPerIP},
	{"a subnet is bounded", testMaxPeersPerSubnet},
	{"local addresses are free", testLocalAddresses},
}

func testMaxHashes(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxHashes: 3, Lifetime: time.Hour})
	for n := range 3 {
		s.wantFull(hash(n), "20.0.1.7", false)
		s.announce(hash(n), false, peer(1))
	}
	s.wantRefused(hash(3), peer(1), tracker.ErrFull)
	s.want(hash(3))
	s.want(hash(0), peer(1))
	s.announce(hash(0), false, peer(1), peer(2)) // in a swarm that is there there is room
	if st := s.Stats(); st.RefusedFull == 0 || st.Hashes != 3 || s.Hashes() != 3 {
		t.Errorf("stats %+v", st)
	}
	s.now = start.Add(time.Hour + slack)
	s.wantFull(hash(3), "20.0.1.7", false)
	s.announce(hash(3), false, peer(1))
}

func testMaxBytes(t testing.TB, open Open) {
	const most = 20_000
	s := newSubject(t, open, tracker.SwarmsConfig{MaxBytes: most, Lifetime: time.Hour})
	stored := 0
	for n := range 2000 {
		ih, p := hash(n%10), peer(n)
		_, full := s.SampleAndFull(nil, ih, tracker.SampleOptions{}, p.Addr(), s.now)
		err := s.Announce(ih, p, false, s.now)
		if full != (err != nil) || err != nil && err != tracker.ErrFull {
			t.Fatalf("announce %d: %v, although full was %v", n, err, full)
		}
		if err == nil {
			stored++
		}
	}
	st := s.Stats()
	if st.Peers4 != stored || stored < 100 || stored == 2000 || st.Bytes > most {
		t.Errorf("%d stored, stats %+v", stored, st)
	}
	// Who is there may refresh.
	some := s.sample(hash(0), tracker.SampleOptions{Max: 5})
	s.announce(hash(0), true, some...)
	s.wantFull(hash(0), some[0].Addr().String(), false)
}

// A lookup and an announce are use, and what is used stays.
func testIdleGiveWay(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxHashes: 3, Lifetime: time.Hour})
	for n := range 3 {
		s.announce(hash(n), false, peer(n))
	}
	s.now = start.Add(25 * time.Minute)
	s.announce(hash(0), false, peer(9))
	s.want(hash(1), peer(1))
	s.now = start.Add(40*time.Minute + slack)
	s.announce(hash(3), false, peer(3))
	s.want(hash(0), peer(0), peer(9))
	s.want(hash(1), peer(1))
	s.want(hash(2))
	s.wantRefused(hash(4), peer(1), tracker.ErrFull)
}

func testMaxPeers(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxPeers: 3})
	s.announce(hash(1), false, peers(1, 4)...)
	s.announce(hash(1), false, peer(1))
	s.wantFull(hash(1), "20.9.9.9", false)
	s.announce(hash(1), false, peer(4)) // for the one that was announced longest ago
	s.want(hash(1), peer(1), peer(3), peer(4))
	v6 := parse("[2a01::1]:1", "[2a02::1]:1", "[2a03::1]:1") // a family of its own
	s.announce(hash(1), false, v6...)
	s.want(hash(1), append(v6, peer(1), peer(3), peer(4))...)
}

func testMaxPeersPerIP(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxPeersPerIP: 2})
	p := parse("20.1.1.1:1", "20.1.1.1:2", "20.1.1.1:3", "20.1.1.2:1")
	s.announce(hash(1), false, p[3], p[0], p[1], p[0])
	s.wantFull(hash(1), "20.1.1.1", false)
	s.announce(hash(1), false, p[2])
	s.want(hash(1), p[0], p[2], p[3])
}

func testMaxPeersPerSubnet(t testing.TB, open Open) {
	for _, subnet := range []struct{ first, next, out string }{
		{"20.1.1.0", "20.1.1.200", "20.1.2.1"},
		{"2a01:0:0:1::", "2a01:0:0:1:ffff::1", "2a01:0:0:2::1"},
	} {
		s := newSubject(t, open, tracker.SwarmsConfig{MaxPeersPerSubnet: 4, Lifetime: time.Hour})
		var in []netip.AddrPort
		addr := netip.MustParseAddr(subnet.first)
		for range 4 {
			in = append(in, netip.AddrPortFrom(addr, 6881))
			addr = addr.Next()
		}
		s.announce(hash(1), false, in...)
		next := netip.AddrPortFrom(netip.MustParseAddr(subnet.next), 6881)
		s.wantRefused(hash(1), next, tracker.ErrSubnetFull)
		s.want(hash(1), in...)
		s.wantFull(hash(1), subnet.out, false)
		s.wantFull(hash(2), subnet.next, false)
		s.announce(hash(1), true, in[0])
		s.now = start.Add(time.Hour + slack)
		s.wantFull(hash(1), subnet.next, false)
		s.announce(hash(1), false, next)
		s.want(hash(1), next)
	}
}

func testLocalAddresses(t testing.TB, open Open) {
	for _, local := range []string{"127.0.0.1", "10.1.1.1", "192.168.1.9", "::1", "fd00::1"} {
		s := newSubject(t, open, tracker.SwarmsConfig{MaxPeersPerIP: 2, MaxPeersPerSubnet: 4})
		var list []netip.AddrPort
		for port := range uint16(50) {
			list = append(list, netip.AddrPortFrom(netip.MustParseAddr(local), 1+port))
		}
		s.announce(hash(1), false, list...)
		s.wantFull(hash(1), local, false)
		s.want(hash(1), list...)
	}
}

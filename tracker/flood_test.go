package tracker

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// randomPeer draws addresses that often meet: in few subnets, of both families.
func randomPeer(r *rand.Rand) netip.AddrPort {
	b := [16]byte{0x2a, 0x01, 7: byte(r.IntN(40)), 15: byte(r.IntN(40))}
	if port := uint16(1 + r.IntN(4)); r.IntN(3) == 0 {
		return netip.AddrPortFrom(netip.AddrFrom16(b), port)
	} else {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 1, b[7], b[15]}), port)
	}
}

// TestFloodNeverExceedsABound plays a flood of everything at once, and checks
// that the books agree with the arrays and every bound holds.
func TestFloodNeverExceedsABound(t *testing.T) {
	configs := map[string]SwarmsConfig{
		"bytes":  {MaxBytes: 100_000, MaxPeers: 100, MaxPeersPerSubnet: 4},
		"hashes": {MaxHashes: 150, MaxPeers: 50, MaxPeersPerSubnet: 4},
		"shards": {MaxBytes: 4 * minShardBytes, MaxHashes: 256, MaxPeersPerIP: 1, MaxPeersPerSubnet: 2},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			s, now := newSwarms(cfg), start
			for i := range 20_000 {
				now = now.Add(time.Duration(r.IntN(200)) * time.Millisecond)
				ih := hashOf(int(400 * r.Float64() * r.Float64() * r.Float64()))
				switch r.IntN(10) {
				case 0:
					s.Sample(nil, ih, SampleOptions{Max: r.IntN(100), NoSeed: r.IntN(2) == 0}, now)
				case 1:
					peer := randomPeer(r)
					if !s.Full(ih, peer.Addr(), now) && s.Announce(ih, peer, false, now) != nil {
						if !hasAddr(s, ih, peer.Addr(), now) {
							t.Fatalf("%v was promised a place", peer)
						}
					}
				case 2:
					s.Expire(now)
				default:
					_ = s.Announce(ih, randomPeer(r), r.IntN(2) == 0, now)
				}
				if i%200 == 0 {
					checkBooks(t, s)
					now = now.Add(time.Duration(r.IntN(5)) * time.Minute)
				}
			}
			if st := s.Stats(); st.RefusedFull*st.RefusedSubnet*st.Replaced*st.Expired == 0 {
				t.Errorf("the flood missed a rule: %+v", st)
			}
		})
	}
}

func hasAddr(s *Swarms, ih krpc.ID, a netip.Addr, now time.Time) bool {
	for _, p := range peersOf(s, ih, SampleOptions{V6: a.Is6()}, now) {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

func checkBooks(t *testing.T, s *Swarms) {
	t.Helper()
	checkRestored(t, s)
	for i := range s.shards {
		if sh := &s.shards[i]; sh.bytes > s.limits.bytes {
			t.Fatalf("%d bytes of %d", sh.bytes, s.limits.bytes)
		}
	}
}

// checkRestored is checkBooks for a store that may be a little too large.
func checkRestored(t *testing.T, s *Swarms) {
	t.Helper()
	if n := s.hashes.Load(); n != int64(s.Stats().Hashes) {
		t.Fatalf("booked %d info-hashes, held %d", n, s.Stats().Hashes)
	}
	for i := range s.shards {
		sh := &s.shards[i]
		total, charged, owned := [families]tally{}, 0, map[owner]int32{}
		for pos, sw := range sh.swarms {
			if int(sw.pos) != pos || sh.peek(&sw.id) != sw {
				t.Fatalf("swarm %d is filed wrong", pos)
			}
			charged += hashCost
			if sw.owner != 0 {
				owned[sw.owner]++
				if !hasPeerOfOwner(sh, sw) {
					t.Fatalf("nobody is left in the owner's network in swarm %d", pos)
				}
			}
			for f := range sw.peers {
				checkArray(t, s, family(f), &sw.peers[f])
				got := sw.peers[f].tally()
				total[f].peers += got.peers
				total[f].seeds += got.seeds
				charged += got.bytes
			}
		}
		if !maps.Equal(owned, sh.owners) {
			t.Fatalf("booked %v for owners, they have %v", sh.owners, owned)
		}
		for f := range total {
			if sh.peers[f] != total[f].peers || sh.seeds[f] != total[f].seeds {
				t.Fatalf("booked %d peers and %d seeds, held %+v", sh.peers[f], sh.seeds[f], total[f])
			}
		}
		if sh.bytes != charged || sh.bytes > s.limits.bytes+s.limits.bytes/restoreSlack || len(sh.swarms) > s.limits.hashes {
			t.Fatalf("booked %d bytes of %d, held %d in %d swarms", sh.bytes, s.limits.bytes, charged, len(sh.swarms))
		}
		if sh.lru != nil && sh.lru.Len() != len(sh.swarms) {
			t.Fatalf("the LRU holds %d of %d swarms", sh.lru.Len(), len(sh.swarms))
		}
	}
}

func hasPeerOfOwner(sh *shard, sw *swarm) bool {
	for f := range sw.peers {
		for b, w := sw.peers[f].b, family(f).width(); len(b) > 0; b = b[w:] {
			if addr, _ := krpc.ParseCompactAddr(b[:w-stampLen]); sh.ownerOf(new(makePeerKey(addr))) == sw.owner {
				return true
			}
		}
	}
	return false
}

func checkArray(t *testing.T, s *Swarms, f family, a *peerArray) {
	t.Helper()
	w := f.width()
	ips, subnets, all := map[string]int{}, map[string]int{}, map[string]int{}
	for b := a.b; len(b) > 0; b = b[w:] {
		subnet := b[:8]
		if f == v4 {
			subnet = b[:3]
		}
		ips[string(b[:w-4])]++
		subnets[string(subnet)]++
		all[string(b[:w-2])]++
	}
	for m, limit := range map[*map[string]int]int{&ips: s.limits.perIP, &subnets: s.limits.perSubnet, &all: 1} {
		for k, n := range *m {
			if n > limit {
				t.Fatalf("%x has %d entries, want at most %d", k, n, limit)
			}
		}
	}
	if a.len() > s.limits.peers {
		t.Fatalf("%d peers, want at most %d", a.len(), s.limits.peers)
	}
	for i := 1; i < a.len(); i++ {
		if a.tick(i-1) > a.tick(i) {
			t.Fatalf("entries %d and %d are out of order", i-1, i)
		}
	}
}

func TestSwarmsInManyGoroutines(t *testing.T) {
	s := newSwarms(SwarmsConfig{MaxHashes: 4000})
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			var dst []byte
			for i := range 5000 {
				ih, now := hashOf(r.IntN(3000)), start.Add(time.Duration(i)*time.Second)
				_ = s.Announce(ih, randomPeer(r), false, now)
				s.Full(ih, randomPeer(r).Addr(), now)
				dst = s.Sample(dst[:0], ih, SampleOptions{Max: 50}, now)
				if i%100 == 0 {
					s.Expire(now)
					s.Stats()
				}
			}
		})
	}
	wg.Wait()
	checkBooks(t, s)
}

func TestShardsShareHashesFairly(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	if len(s.shards) != 32 {
		t.Fatalf("%d shards, want 32", len(s.shards))
	}
	// Info-hashes that differ in a few bits only, as an attacker may choose them.
	for n := range 32 * 500 {
		var ih krpc.ID
		binary.BigEndian.PutUint32(ih[4:], uint32(n)<<8)
		mustAnnounce(t, s, ih, publicPeer(n), false, start)
	}
	for i := range s.shards {
		if n := len(s.shards[i].swarms); n < 400 || n > 600 {
			t.Errorf("shard %d holds %d swarms, want about 500", i, n)
		}
	}
}

package tracker

import (
	"bytes"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// held is how a store keeps a peer.
type held struct {
	tick uint32 // since 1970
	seed bool
}

// contents returns all that a store holds at now.
func contents(s *Swarms, now time.Time) map[string]held {
	all := make(map[string]held)
	since1970 := unixTick(now) - s.tick(now)
	for i := range s.shards {
		for _, sw := range s.shards[i].swarms {
			for f := range sw.peers {
				a := &sw.peers[f]
				for i := a.stale(s.tick(now), s.limits.life); i < a.len(); i++ {
					w := int(a.width)
					key := string(sw.id[:]) + string(a.b[i*w:(i+1)*w-stampLen])
					all[key] = held{a.tick(i) + since1970, a.stamp(i)&seedBit != 0}
				}
			}
		}
	}
	return all
}

// logged is a record in a log that tests replay by hand.
type logged struct {
	at     time.Time
	record []byte
}

// snapshot returns the records of a store.
func snapshot(s *Swarms, now time.Time) (log []logged) {
	for record := range (swarmsState{s}).Records(now) {
		log = append(log, logged{now, bytes.Clone(record)})
	}
	return log
}

func replay(t testing.TB, s *Swarms, log []logged, now time.Time) {
	t.Helper()
	for _, l := range log {
		if err := (swarmsState{s}).Replay(l.record, l.at, now); err != nil {
			t.Fatalf("replay of %x: %v", l.record, err)
		}
	}
}

// restarted returns a store of another process, that the log was replayed into.
func restarted(t testing.TB, cfg SwarmsConfig, log []logged, now time.Time) *Swarms {
	t.Helper()
	cfg.Rand = rand.New(rand.NewPCG(uint64(now.UnixNano()), 9))
	s := NewSwarms(cfg, now)
	replay(t, s, log, now)
	return s
}

// announceLogged announces and returns the record of it, if it is accepted.
func announceLogged(s *Swarms, ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) []logged {
	if s.Announce(ih, peer, seed, now) != nil {
		return nil
	}
	return []logged{{now, appendPeerRecord(nil, &ih, peer, seed)}}
}

func TestRecordsRestoreWhatIsHeld(t *testing.T) {
	s, log := newSwarms(SwarmsConfig{}), []logged(nil)
	r := rand.New(rand.NewPCG(*seed, 1))
	now := start
	for range 20_000 {
		now = now.Add(time.Duration(r.IntN(150)) * time.Millisecond)
		log = append(log, announceLogged(s, hashOf(r.IntN(200)), randomPeer(r), r.IntN(3) == 0, now)...)
	}
	for n := range 3000 { // more than fits into a record
		log = append(log, announceLogged(s, hashOf(0), netip.AddrPortFrom(publicPeer(n).Addr(), 1), n%5 == 0, now)...)
	}
	now = now.Add(time.Minute)
	want := contents(s, now)
	for name, records := range map[string][]logged{
		"a log": log, "a snapshot": snapshot(s, now), "one and then the other": append(log, snapshot(s, now)...),
		"twice": append(snapshot(s, now), snapshot(s, now)...),
	} {
		again := restarted(t, SwarmsConfig{}, records, now)
		if got := contents(again, now); !maps.Equal(got, want) {
			t.Errorf("%s: %d peers, want %d, or others", name, len(got), len(want))
		}
		checkRestored(t, again)
	}
}

// A snapshot is taken while announces go on, of which the log that follows tells too.
func TestASnapshotLosesNothingThatChangesMeanwhile(t *testing.T) {
	for try := range uint64(20) {
		r := rand.New(rand.NewPCG(*seed, try))
		cfg := SwarmsConfig{MaxHashes: 150, MaxPeers: 40, MaxPeersPerSubnet: 4, Shards: 1 + r.IntN(3)}
		if try%2 == 0 {
			cfg = SwarmsConfig{MaxBytes: 100_000, MaxPeers: 100, MaxPeersPerIP: 1}
		}
		s, now := newSwarms(cfg), start
		var log []logged
		announce := func(n, pause int) {
			for range n {
				now = now.Add(time.Duration(r.IntN(pause)) * time.Millisecond)
				ih := hashOf(int(400 * r.Float64() * r.Float64() * r.Float64()))
				log = append(log, announceLogged(s, ih, randomPeer(r), r.IntN(2) == 0, now)...)
				if r.IntN(50) == 0 {
					s.Expire(now)
				}
			}
		}
		announce(20_000, 400)
		log = nil // a new one begins with the snapshot
		var taken []logged
		next, stop := iter.Pull((swarmsState{s}).Records(now))
		for {
			record, ok := next()
			if !ok {
				break
			}
			taken = append(taken, logged{now, bytes.Clone(record)})
			announce(r.IntN(100), 10) // a snapshot takes a few seconds
		}
		stop()
		announce(r.IntN(5000), 400)

		now = now.Add(time.Duration(r.IntN(600)) * time.Second)
		again := restarted(t, cfg, append(taken, log...), now)
		checkRestored(t, again)
		got := contents(again, now)
		for key, want := range contents(s, now) {
			if got[key] != want {
				t.Fatalf("try %d: a peer is held as %+v, want %+v", try, got[key], want)
			}
		}
	}
}

// A store that is full has all of its info-hashes again, although which shard they fall to is
// a secret of each process.
func TestAFullStoreIsRestored(t *testing.T) {
	cfg := SwarmsConfig{MaxHashes: 4000}
	s, now := newSwarms(cfg), start
	log := []logged{{now, appendShardsRecord(nil, s.seed)}}
	for n := range 5000 {
		log = append(log, announceLogged(s, hashOf(n), publicPeer(n), false, now)...)
	}
	want := contents(s, now)
	if len(want) < 3900 {
		t.Fatalf("%d swarms", len(want))
	}
	for name, records := range map[string][]logged{"a log": log, "a snapshot": snapshot(s, now)} {
		if got := contents(restarted(t, cfg, records, now), now); !maps.Equal(got, want) {
			t.Errorf("%s: %d swarms, want %d", name, len(got), len(want))
		}
	}
}

func TestASmallerStoreTakesTheFreshest(t *testing.T) {
	s, now := newSwarms(SwarmsConfig{}), start
	var log []logged
	for n := range 160 {
		now = now.Add(tickLength)
		log = append(log, announceLogged(s, hashOf(n%16), publicPeer(n), false, now)...)
		log = append(log, announceLogged(s, hashOf(1000), publicPeer(n), false, now)...)
	}
	for name, records := range map[string][]logged{"a log": log, "a snapshot": snapshot(s, now)} {
		again := restarted(t, SwarmsConfig{MaxHashes: 6, MaxPeers: 100}, records, now)
		checkRestored(t, again)
		if seeds, leechers := again.Count(hashOf(1000), now); seeds != 0 || leechers != 100 || again.Hashes() != 6 {
			t.Errorf("%s: %d peers of the large swarm, %d swarms", name, leechers, again.Hashes())
		}
		wantFull(t, again, hashOf(1000), publicPeer(159).Addr().String(), now, false)
		for n := 60; n < 160; n++ {
			if !hasAddr(again, hashOf(1000), publicPeer(n).Addr(), now) {
				t.Errorf("%s: one of the freshest is missing", name)
			}
		}
		for n := range 16 {
			if has := hasAddr(again, hashOf(n), publicPeer(144+n).Addr(), now); has != (n >= 11) {
				t.Errorf("%s: swarm %d of 16: %v", name, n, has)
			}
		}
	}
	few := restarted(t, SwarmsConfig{MaxBytes: 3900}, snapshot(s, now), now)
	checkRestored(t, few)
	if n := few.Stats().Peers4; n < 20 {
		t.Errorf("%d peers in a few bytes", n)
	}
}

// Restarts neither shorten nor lengthen a life, however many there are.
func TestLivesOutlastTenRestarts(t *testing.T) {
	const lifetime = 45 * time.Minute
	r := rand.New(rand.NewPCG(*seed, 2))
	s, now, log := newSwarms(SwarmsConfig{}), start, []logged(nil)
	announced := make(map[int]time.Time)
	for restart := range 10 {
		for range 20 {
			now = now.Add(time.Duration(r.IntN(10_000)) * time.Millisecond)
			n := len(announced)
			announced[n] = now
			log = append(log, announceLogged(s, hashOf(n), publicPeer(n), false, now)...)
		}
		if restart%3 > 0 {
			log = snapshot(s, now)
		}
		now = now.Add(time.Duration(r.IntN(60_000)) * time.Millisecond) // it is down
		s = restarted(t, SwarmsConfig{}, log, now)
	}
	for n, at := range announced {
		alive, dead := at.Add(lifetime), at.Add(lifetime+2*tickLength)
		if alive.After(now) {
			wantPeers(t, s, hashOf(n), alive, publicPeer(n).String())
		}
		wantPeers(t, s, hashOf(n), dead)
	}
	if now.Sub(start) > lifetime {
		t.Fatal("the first ones had expired before the last restart")
	}
}

func TestWhatExpiredWhileDownIsNotRestored(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	log := announceLogged(s, hashOf(1), publicPeer(1), false, start)
	log = append(log, announceLogged(s, hashOf(1), publicPeer(2), false, start.Add(30*time.Minute))...)
	taken := snapshot(s, start.Add(30*time.Minute))
	for _, records := range [][]logged{log, taken} {
		for minutes, want := range map[time.Duration]int{44: 2, 46: 1, 74: 1, 76: 0, 100_000: 0} {
			again := restarted(t, SwarmsConfig{}, records, start.Add(minutes*time.Minute))
			if n := again.Stats().Peers4; n != want {
				t.Errorf("after %d minutes there are %d peers, want %d", minutes, n, want)
			}
		}
	}
}

// The clock was set back by a day, which is why peers seem to be announced in the future.
func TestReplayBearsAClockSetBack(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	log := announceLogged(s, hashOf(1), publicPeer(1), false, start)
	log = append(log, announceLogged(s, hashOf(1), publicPeer(2), false, start.Add(time.Minute))...)
	now := start.Add(-24 * time.Hour)
	for _, records := range [][]logged{log, snapshot(s, start.Add(time.Minute))} {
		again := restarted(t, SwarmsConfig{}, records, now)
		wantPeers(t, again, hashOf(1), now.Add(44*time.Minute), publicPeer(1).String(), publicPeer(2).String())
		wantPeers(t, again, hashOf(1), now.Add(46*time.Minute))
	}
}

func TestReplayRefusesWhatIsNoRecord(t *testing.T) {
	ih := hashOf(1)
	peer := appendPeerRecord(nil, &ih, publicPeer(1), true)
	swarm := appendSwarmRecord(nil, v4, &ih, 1, 1, make([]byte, 2*width4))
	for _, b := range [][]byte{
		nil, {0}, {99}, peer[:len(peer)-1], append(peer, 0), {recordShards, 1},
		swarm, swarm[:swarmHeaderLen], swarm[:len(swarm)-1], // the peers of swarm have no port
		appendPeerRecord(nil, &ih, netip.MustParseAddrPort("20.1.1.1:0"), false),
		append(append([]byte{recordPeer}, ih[:]...), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04\x00\x01"...),
	} {
		s := newSwarms(SwarmsConfig{})
		if err := (swarmsState{s}).Replay(b, start, start); err == nil && !bytes.Equal(b, swarm) {
			t.Errorf("%x is taken for a record", b)
		}
		if n := s.Stats().Peers4; n != 0 {
			t.Errorf("%x: %d peers", b, n)
		}
		checkRestored(t, s)
	}
}

// FuzzReplay holds Replay to the bounds, and what it made of a record to its own snapshot.
func FuzzReplay(f *testing.F) {
	cfg := SwarmsConfig{MaxHashes: 100, MaxPeers: 8, MaxPeersPerSubnet: 4, MaxBytes: 20_000}
	filled := func() *Swarms {
		s, r := newSwarms(cfg), rand.New(rand.NewPCG(1, 3))
		for n := range 300 {
			_ = s.Announce(hashOf(n%9), randomPeer(r), n%3 == 0, start.Add(time.Duration(n)*time.Second))
		}
		return s
	}
	now := start.Add(10 * time.Minute)
	for _, l := range snapshot(filled(), now) {
		f.Add(l.record, uint16(0))
	}
	ih := hashOf(3)
	f.Add(appendPeerRecord(nil, &ih, publicPeer(1), true), uint16(1000))
	f.Add(appendPeerRecord(nil, &ih, netip.MustParseAddrPort("[2a01::1]:1"), false), uint16(10))
	f.Fuzz(func(t *testing.T, record []byte, secondsAgo uint16) {
		for _, s := range []*Swarms{newSwarms(cfg), filled()} {
			_ = swarmsState{s}.Replay(record, now.Add(-time.Duration(secondsAgo)*time.Second), now)
			checkRestored(t, s)
			again := restarted(t, cfg, snapshot(s, now), now)
			if !maps.Equal(contents(again, now), contents(s, now)) {
				t.Error("a snapshot of it is something else")
			}
		}
	})
}

// million returns a store of 1 000 000 peers in 10 000 swarms.
func million(t testing.TB) *Swarms {
	s := newSwarms(SwarmsConfig{MaxHashesPerSubnet: 1_000_000})
	for n := range 100 {
		for h := range 10_000 {
			mustAnnounce(t, s, hashOf(h), publicPeer(n), n%3 == 0, start.Add(time.Duration(n)*10*time.Second))
		}
	}
	return s
}

func TestSnapshotsAreCompact(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("counts the bytes and allocations of 1 000 000 peers")
	}
	s, now := million(t), start.Add(20*time.Minute)
	log, size := snapshot(s, now), 0
	for _, l := range log {
		size += len(l.record)
	}
	again := newSwarms(SwarmsConfig{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	replay(t, again, log, now)
	runtime.ReadMemStats(&after)

	perPeer, perSwarm := float64(size)/1e6, float64(after.Mallocs-before.Mallocs)/1e4
	taken := float64(after.TotalAlloc-before.TotalAlloc) / float64(again.Stats().Bytes)
	t.Logf("%.2f bytes a peer; %.1f allocations a swarm, %.2f of what the store is charged", perPeer, perSwarm, taken)
	if n := again.Stats().Peers4; n != 1e6 || perPeer > 9 || perSwarm > 4 || taken > 1.3 {
		t.Errorf("%d peers", n)
	}
}

// No lock may be held for long: a snapshot is taken by a core that a reader may wait for.
func TestSnapshotsVisitShardsInSlices(t *testing.T) {
	s := newSwarms(SwarmsConfig{Shards: 1})
	storeHashes(t, s, 0, 1000, start)
	sh := &s.shards[0]
	uses, pos := sh.appendUses(nil, 1<<30)
	if len(uses) != sweepHold || pos != 1000-sweepHold {
		t.Fatalf("%d at a time, then at %d", len(uses), pos)
	}
	// Some go meanwhile, and those in their places have been visited, or are still to be.
	first := slices.Clone(sh.swarms[:pos])
	for n := range 300 {
		sh.remove(sh.swarms[n*7%len(sh.swarms)])
	}
	for pos > 0 {
		uses, pos = sh.appendUses(uses, pos)
	}
	for _, sw := range first {
		there := sh.peek(&sw.id) != nil
		if there && !slices.ContainsFunc(uses, func(u swarmUse) bool { return u.id == sw.id }) {
			t.Errorf("%v was there all along, and is missing", sw.id)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	s, now := million(b), start.Add(20*time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		size := 0
		for record := range (swarmsState{s}).Records(now) {
			size += len(record)
		}
		b.ReportMetric(float64(size)/1e6, "B/peer")
	}
}

func BenchmarkReplay(b *testing.B) {
	now := start.Add(20 * time.Minute)
	big := newSwarms(SwarmsConfig{})
	for h := range 500 {
		fill(b, big, hashOf(h), 1000, 2000, start)
	}
	for name, log := range map[string][]logged{"10000x100": snapshot(million(b), now), "500x2000": snapshot(big, now)} {
		b.Run("snapshot/"+name, func(b *testing.B) { benchReplay(b, log, now) })
	}
	log := make([]logged, 1e6)
	for i := range log {
		ih := hashOf(i % 10_000)
		log[i] = logged{start, appendPeerRecord(nil, &ih, publicPeer(i/10_000), false)}
	}
	b.Run("log", func(b *testing.B) { benchReplay(b, log, now) })
}

func benchReplay(b *testing.B, log []logged, now time.Time) {
	b.ReportAllocs()
	for b.Loop() {
		s := newSwarms(SwarmsConfig{})
		replay(b, s, log, now)
		if n := s.Stats().Peers4; n != 1e6 {
			b.Fatalf("%d peers", n)
		}
	}
}

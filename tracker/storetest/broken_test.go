package storetest

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// recorder notes that a scenario failed.
type recorder struct {
	testing.TB
	failed atomic.Bool // scenarios fail in goroutines of their own, too
}

func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }

func (r *recorder) Fatalf(string, ...any) {
	r.failed.Store(true)
	runtime.Goexit()
}

// fails tells whether a scenario notices what is wrong with a store.
func fails(t *testing.T, name string, open Open) bool {
	t.Helper()
	for _, s := range scenarios {
		if s.name != name {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(r, open)
		}()
		<-done
		return r.failed.Load()
	}
	t.Fatalf("no scenario %q", name)
	return false
}

// Each of these is broken in one thing.
type (
	mixesFamilies struct{ tracker.Store }
	keepsOrder    struct{ tracker.Store }
	handsOutSeeds struct{ tracker.Store }
	overfills     struct{ tracker.Store }
	promises      struct{ tracker.Store }
	forgetsSeeds  struct{ tracker.Store }
	neverExpires  struct{ tracker.Store }
	livesForever  struct{ tracker.Store }
	countsPeers   struct{ tracker.Store }
	repeatsHashes struct{ tracker.Store }
	swapsFilters  struct{ tracker.Store }
	refusesMuch   struct{ tracker.Store }
	losesSome     struct{ tracker.Store }
)

func (s mixesFamilies) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, now time.Time) ([]byte, bool) {
	o.V6 = false
	return s.Store.SampleAndFull(dst, ih, o, asker, now)
}

func (s keepsOrder) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, now time.Time) ([]byte, bool) {
	first, length := o.Max*8, len(dst)
	o.Max = 1000
	b, full := s.Store.SampleAndFull(dst, ih, o, asker, now)
	return b[:min(length+first, len(b))], full
}

func (s handsOutSeeds) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, now time.Time) ([]byte, bool) {
	o.NoSeed = false
	return s.Store.SampleAndFull(dst, ih, o, asker, now)
}

func (s overfills) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, now time.Time) ([]byte, bool) {
	o.Max++
	return s.Store.SampleAndFull(dst, ih, o, asker, now)
}

func (s promises) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, now time.Time) ([]byte, bool) {
	b, _ := s.Store.SampleAndFull(dst, ih, o, asker, now)
	return b, false
}

func (s forgetsSeeds) Announce(ih krpc.ID, peer netip.AddrPort, _ bool, now time.Time) error {
	return s.Store.Announce(ih, peer, false, now)
}

func (s neverExpires) Expire(now time.Time) time.Time { return now.Add(time.Hour) }

func (s livesForever) SampleAndFull(dst []byte, ih krpc.ID, o tracker.SampleOptions, asker netip.Addr, _ time.Time) ([]byte, bool) {
	return s.Store.SampleAndFull(dst, ih, o, asker, start)
}

func (s countsPeers) Hashes() int64 { return int64(s.Stats().Peers4) }

func (s repeatsHashes) SampleHashes(limit int, rng *rand.Rand, now time.Time) []byte {
	b := s.Store.SampleHashes(limit, rng, now)
	if len(b) > krpc.IDLen {
		copy(b, b[krpc.IDLen:])
	}
	return b
}

func (s swapsFilters) Scrape(ih krpc.ID, seeds, peers *krpc.Bloom, now time.Time) bool {
	return s.Store.Scrape(ih, peers, seeds, now)
}

func (s refusesMuch) Announce(ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) error {
	if err := s.Store.Announce(ih, peer, seed, now); err != nil {
		return tracker.ErrFull // whatever the reason
	}
	return nil
}

func (s losesSome) Announce(ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) error {
	if peer.Addr().As16()[14]%16 == 0 {
		return nil
	}
	return s.Store.Announce(ih, peer, seed, now)
}

// TestBrokenStoresFail has the suite notice what is wrong.
func TestBrokenStoresFail(t *testing.T) {
	for _, c := range []struct {
		name     string
		scenario string
		broken   func(tracker.Store) tracker.Store
	}{
		{"families", "info-hashes and families are kept apart", func(s tracker.Store) tracker.Store { return mixesFamilies{s} }},
		{"the same peers again", "a sample is random", func(s tracker.Store) tracker.Store { return keepsOrder{s} }},
		{"seeds", "seeds are left out for seeds", func(s tracker.Store) tracker.Store { return handsOutSeeds{s} }},
		{"too many", "a sample is random", func(s tracker.Store) tracker.Store { return overfills{s} }},
		{"never full", "info-hashes are bounded", func(s tracker.Store) tracker.Store { return promises{s} }},
		{"never full", "bytes are bounded", func(s tracker.Store) tracker.Store { return promises{s} }},
		{"no seeds", "a refresh updates", func(s tracker.Store) tracker.Store { return forgetsSeeds{s} }},
		{"no seeds", "counts", func(s tracker.Store) tracker.Store { return forgetsSeeds{s} }},
		{"keeps memory", "what has expired is given back", func(s tracker.Store) tracker.Store { return neverExpires{s} }},
		{"hands out the dead", "a peer lives for its lifetime", func(s tracker.Store) tracker.Store { return livesForever{s} }},
		{"hands out the dead", "a long time passes", func(s tracker.Store) tracker.Store { return livesForever{s} }},
		{"counts peers", "counts", func(s tracker.Store) tracker.Store { return countsPeers{s} }},
		{"info-hashes twice", "samples of info-hashes", func(s tracker.Store) tracker.Store { return repeatsHashes{s} }},
		{"filters", "filters", func(s tracker.Store) tracker.Store { return swapsFilters{s} }},
		{"the reason", "a subnet is bounded", func(s tracker.Store) tracker.Store { return refusesMuch{s} }},
		{"loses peers", "many at once", func(s tracker.Store) tracker.Store { return losesSome{s} }},
	} {
		t.Run(c.name+", "+c.scenario, func(t *testing.T) {
			if fails(t, c.scenario, openSwarms) {
				t.Fatal("a good store fails")
			}
			broken := func(t testing.TB, cfg tracker.SwarmsConfig, now time.Time) tracker.Store {
				return c.broken(openSwarms(t, cfg, now))
			}
			if !fails(t, c.scenario, broken) {
				t.Error("it passes")
			}
		})
	}
}

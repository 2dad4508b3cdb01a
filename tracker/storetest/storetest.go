// Package storetest holds implementations of tracker.Store to what that promises.
package storetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// Open returns an empty store, made at now, that nobody else uses. cfg bounds it, and what
// gives way is what tracker.Swarms says; cfg.Rand is set. It may use t.Cleanup.
type Open func(t testing.TB, cfg tracker.SwarmsConfig, now time.Time) tracker.Store

// Run runs every scenario, each with a store of its own, on a clock of its own.
func Run(t *testing.T, open Open) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.run(t, open) })
	}
}

type scenario struct {
	name string
	run  func(t testing.TB, open Open)
}

var scenarios = slices.Concat(servingScenarios, agingScenarios, boundScenarios)

// slack is for how long a peer may live longer than its lifetime: ages may be kept in coarse
// units, and rounded.
const slack = time.Minute

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// subject is a store in a scenario.
type subject struct {
	testing.TB
	tracker.Store
	now time.Time
}

func newSubject(t testing.TB, open Open, cfg tracker.SwarmsConfig) *subject {
	t.Helper()
	cfg.Rand = rand.New(rand.NewPCG(1, 2))
	return &subject{TB: t, Store: open(t, cfg, start), now: start}
}

func hash(n int) krpc.ID { return krpc.ID{0: byte(n), 19: byte(n >> 8)} }

// peer returns the nth of many peers, each in a /24 of its own.
func peer(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 7}), 6881)
}

func peers(from, to int) (list []netip.AddrPort) {
	for ; from < to; from++ {
		list = append(list, peer(from))
	}
	return list
}

func parse(addrs ...string) (list []netip.AddrPort) {
	for _, a := range addrs {
		list = append(list, netip.MustParseAddrPort(a))
	}
	return list
}

// announce has peers announced, which must be accepted.
func (s *subject) announce(ih krpc.ID, seed bool, peers ...netip.AddrPort) {
	s.Helper()
	for _, p := range peers {
		if err := s.Announce(ih, p, seed, s.now); err != nil {
			s.Fatalf("announce of %v: %v", p, err)
		}
	}
}

// sample returns peers of one sample, sorted, after it has checked their form.
func (s *subject) sample(ih krpc.ID, o tracker.SampleOptions) []netip.AddrPort {
	s.Helper()
	dst := append(make([]byte, 0, 64), "before"...)
	b, full := s.SampleAndFull(dst, ih, o, netip.Addr{}, s.now)
	if full || len(b) < len(dst) || string(b[:len(dst)]) != "before" {
		s.Fatalf("a sample for nobody: full %v, values %q", full, b)
	}
	m := krpc.Message{Values: b[len(dst):]}
	list := slices.Collect(m.EachPeer)
	if size := map[bool]int{false: 8, true: 21}[o.V6]; len(list)*size != len(m.Values) || len(list) > o.Max {
		s.Fatalf("%d peers, of which %d are wanted, in %d bytes", len(list), o.Max, len(m.Values))
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	if n := len(slices.Compact(slices.Clone(list))); n < len(list) {
		s.Fatalf("%d peers, %d distinct", len(list), n)
	}
	for _, p := range list {
		if p.Addr().Is6() != o.V6 {
			s.Fatalf("%v is of the other family", p)
		}
	}
	return list
}

// all returns all peers of a family.
func (s *subject) all(ih krpc.ID, o tracker.SampleOptions) []netip.AddrPort {
	s.Helper()
	o.Max = 1000
	return s.sample(ih, o)
}

// want checks that these are the peers of ih, of both families.
func (s *subject) want(ih krpc.ID, want ...netip.AddrPort) {
	s.Helper()
	got := append(s.all(ih, tracker.SampleOptions{}), s.all(ih, tracker.SampleOptions{V6: true})...)
	want = slices.Clone(want)
	slices.SortFunc(want, netip.AddrPort.Compare)
	if !slices.Equal(got, want) {
		s.Fatalf("after %v: peers %v, want %v", s.now.Sub(start), got, want)
	}
}

// wantFull checks whether an announce from asker is said to be refused.
func (s *subject) wantFull(ih krpc.ID, asker string, want bool) {
	s.Helper()
	b, full := s.SampleAndFull(nil, ih, tracker.SampleOptions{}, netip.MustParseAddr(asker), s.now)
	if full != want || len(b) != 0 {
		s.Fatalf("full for %s: %v, want %v; values %q", asker, full, want, b)
	}
}

// wantRefused checks that an announce is refused, and that this was to be known.
func (s *subject) wantRefused(ih krpc.ID, p netip.AddrPort, want error) {
	s.Helper()
	s.wantFull(ih, p.Addr().String(), true)
	if err := s.Announce(ih, p, false, s.now); err != want {
		s.Fatalf("announce of %v: %v, want %v", p, err, want)
	}
}

// expire calls Expire until it has nothing more to do by now.
func (s *subject) expire() {
	s.Helper()
	for range 10_000 {
		next := s.Expire(s.now)
		if !next.After(s.now) {
			s.Fatalf("Expire wants to be called again %v later", next.Sub(s.now))
		}
		if next.Sub(s.now) > time.Second {
			return
		}
		s.now = next
	}
	s.Fatalf("Expire has no end")
}

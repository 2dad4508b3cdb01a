package simnet

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// chatter is a world with a bit of everything: hosts that pass counters on to
// ever new partners over a bad network, some behind NATs, some going down, with
// a partition in the middle.
func chatter(seed uint64) *world {
	const n = 100
	w := newWorld(seed, Link{
		Latency: LognormalRTT(90*time.Millisecond, 350*time.Millisecond, seed),
		Loss:    0.02, Duplicate: 0.02, Reorder: 0.02,
	})
	r := rand.New(rand.NewPCG(seed, 1))
	hosts := make([]*Host, n)
	for i := range hosts {
		deliver := func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			if r.IntN(2) == 0 {
				from = Addr(r.IntN(n + 2)) // at two of which there is nobody
			}
			out.Push(from, binary.BigEndian.AppendUint64(out.Buffer(), binary.BigEndian.Uint64(b)+1))
		}
		if i%10 == 0 {
			hosts[i] = w.NATHost(Addr(i), private, NATKind(i/10%4), time.Second, deliver)
		} else {
			hosts[i] = w.Host(Addr(i), deliver)
		}
	}
	for i := range 2000 {
		w.clock.AfterFunc(time.Duration(r.Int64N(int64(10*time.Second))), func() {
			hosts[i%n].SetDown(i%3 == 0)
			_ = hosts[r.IntN(n)].Send(Addr(r.IntN(n)), make([]byte, 8))
		})
	}
	w.clock.AfterFunc(5*time.Second, func() { w.Partition(func(a netip.AddrPort) int { return int(a.Addr().As4()[0] & 1) }) })
	w.clock.AfterFunc(6*time.Second, w.Heal)
	w.clock.Run(20 * time.Second)
	return w
}

func TestSameSeedSameTrace(t *testing.T) {
	a, b, other := chatter(1), chatter(1), chatter(2)
	if a.TraceHash() != b.TraceHash() || a.Stats() != b.Stats() {
		t.Errorf("seed 1 gave %x %+v, then %x %+v", a.TraceHash(), a.Stats(), b.TraceHash(), b.Stats())
	}
	if a.TraceHash() == other.TraceHash() {
		t.Error("seed 2 gave the trace of seed 1")
	}
	s := a.Stats()
	for name, n := range map[string]uint64{
		"delivered": s.Delivered, "lost": s.Lost, "no host": s.NoHost, "host down": s.HostDown,
		"partitioned": s.Partitioned, "NAT": s.NATDropped, "duplicated": s.Duplicated, "reordered": s.Reordered,
	} {
		if n == 0 {
			t.Errorf("%s: the scenario has none", name)
		}
	}
}

// The hash is compared between processes, versions and machines, so a change of
// its definition must not go unnoticed.
func TestTraceHashIsStable(t *testing.T) {
	w := newWorld(1, Link{})
	if got, want := w.TraceHash(), uint64(0x35ba87527b30581e); got != want {
		t.Errorf("empty: %#x, want %#x", got, want)
	}
	a := w.inbox(Addr(0))
	w.inbox(Addr(1))
	send(t, a, Addr(1), "eleven byte")
	w.clock.Run(time.Second)
	if got, want := w.TraceHash(), uint64(0xb65014ffcc8abf4c); got != want {
		t.Errorf("one datagram: %#x, want %#x", got, want)
	}
}

// Everything that can differ between two histories shows in the hash.
func TestTraceHashTellsHistoriesApart(t *testing.T) {
	type step struct {
		at       time.Duration
		f        fate
		from, to netip.AddrPort
		text     string
	}
	base := step{time.Second, delivered, Addr(0), Addr(1), "12345678"}
	histories := map[string][]step{
		"nothing": nil, "base": {base}, "twice": {base, base},
		"time":    {{base.at + 1, base.f, base.from, base.to, base.text}},
		"fate":    {{base.at, lost, base.from, base.to, base.text}},
		"from":    {{base.at, base.f, Addr(2), base.to, base.text}},
		"port":    {{base.at, base.f, withPort(base.from, 1), base.to, base.text}},
		"to":      {{base.at, base.f, base.from, Addr(2), base.text}},
		"swapped": {{base.at, base.f, base.to, base.from, base.text}},
		"byte":    {{base.at, base.f, base.from, base.to, "12345679"}},
		"shorter": {{base.at, base.f, base.from, base.to, "1234567"}},
		"zero":    {{base.at, base.f, base.from, base.to, "12345678\x00"}},
		"empty":   {{base.at, base.f, base.from, base.to, ""}},
	}
	seen := map[uint64]string{}
	for name, steps := range histories {
		w := newWorld(1, Link{})
		for _, s := range steps {
			w.clock.now = int64(s.at)
			w.record(s.f, s.from, s.to, []byte(s.text))
		}
		if twin, ok := seen[w.TraceHash()]; ok {
			t.Errorf("%q and %q have one hash", name, twin)
		}
		seen[w.TraceHash()] = name
	}
}

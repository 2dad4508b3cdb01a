package simnet

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"
)

// volley sends n numbered datagrams at once and returns the numbers in the
// order of their arrival.
func volley(t *testing.T, w *world, n int) []int {
	t.Helper()
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	for i := range n {
		send(t, a, Addr(1), strconv.Itoa(i))
	}
	w.clock.Run(time.Minute)
	order := make([]int, len(b.got))
	for i, g := range b.got {
		order[i], _ = strconv.Atoi(g.text)
	}
	return order
}

func TestIdealLinkKeepsNumberAndOrder(t *testing.T) {
	got := volley(t, newWorld(1, Link{}), 1000)
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Errorf("%d of 1000 arrived, sorted: %t", len(got), slices.IsSorted(got))
	}
}

func TestLossRate(t *testing.T) {
	const n, loss = 100_000, 0.02
	w := newWorld(1, Link{Loss: loss})
	got := len(volley(t, w, n))
	// Four standard deviations around the mean.
	if margin := 4 * math.Sqrt(n*loss*(1-loss)); math.Abs(float64(n-got)-n*loss) > margin {
		t.Errorf("lost %d of %d, want %v±%v", n-got, n, n*loss, margin)
	}
	if s := w.Stats(); s.Lost != uint64(n-got) || s.Delivered != uint64(got) {
		t.Errorf("stats %+v, but %d arrived", s, got)
	}
	if got := volley(t, newWorld(1, Link{Loss: 1}), 100); len(got) != 0 {
		t.Errorf("%d datagrams came through a dead link", len(got))
	}
}

func TestDuplication(t *testing.T) {
	const n, duplicate = 100_000, 0.05
	w := newWorld(1, Link{Duplicate: duplicate})
	got := volley(t, w, n)
	copies := make([]int, n)
	for _, i := range got {
		copies[i]++
	}
	if lo, hi := slices.Min(copies), slices.Max(copies); lo != 1 || hi != 2 {
		t.Errorf("a datagram arrived %d to %d times, want 1 to 2", lo, hi)
	}
	second := float64(len(got) - n)
	if margin := 4 * math.Sqrt(n*duplicate*(1-duplicate)); math.Abs(second-n*duplicate) > margin {
		t.Errorf("%v of %d twice, want %v±%v", second, n, n*duplicate, margin)
	}
	if s := w.Stats(); s.Duplicated != uint64(second) || s.Sent != n {
		t.Errorf("stats %+v, but %v came twice", s, second)
	}
}

func TestReordering(t *testing.T) {
	const n, delay = 10_000, 20 * time.Millisecond
	w := newWorld(1, Link{Reorder: 0.1, ReorderDelay: delay})
	got := volley(t, w, n)
	if len(got) != n {
		t.Fatalf("%d of %d arrived", len(got), n)
	}
	overtaken := 0
	for i := 1; i < n; i++ {
		if got[i] < got[i-1] {
			overtaken++
		}
	}
	s := w.Stats()
	if overtaken < n/50 || s.Reordered < n/11 || s.Reordered > n/9 {
		t.Errorf("%d of %d were overtaken, %d delayed", overtaken, n, s.Reordered)
	}
}

func TestReorderDelayIsBounded(t *testing.T) {
	for _, c := range []struct{ set, want time.Duration }{{7 * time.Millisecond, 7 * time.Millisecond}, {0, DefaultReorderDelay}} {
		w := newWorld(1, Link{Reorder: 1, ReorderDelay: c.set})
		a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
		for range 1000 {
			send(t, a, Addr(1), "x")
		}
		w.clock.Run(time.Second)
		first, last := b.got[0].at-DefaultLatency, b.got[999].at-DefaultLatency
		if first <= 0 || last > c.want || last < c.want*9/10 {
			t.Errorf("delays from %v to %v, want up to %v", first, last, c.want)
		}
	}
}

func TestLinkChangesInMidRun(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	send(t, a, Addr(1), "before")
	w.SetLink(Link{Loss: 1})
	send(t, a, Addr(1), "during")
	b.expect(t, "before")
	w.SetLink(Link{Latency: ConstantLatency(-time.Second)})
	send(t, a, Addr(1), "after")
	b.expect(t, "after")
}

func TestHostWithLinkOfItsOwn(t *testing.T) {
	w := newWorld(1, Link{})
	deaf, mute := w.inbox(Addr(0)), w.inbox(Addr(1))
	mute.SetLink(Link{Loss: 1})
	send(t, mute, Addr(0), "x")
	deaf.expect(t)
	send(t, deaf, Addr(1), "y")
	mute.expect(t, "y")
}

func TestLognormalRTTOfPairs(t *testing.T) {
	const median, p95 = 90 * time.Millisecond, 350 * time.Millisecond
	latency := LognormalRTT(median, p95, 7)
	r := rand.New(rand.NewPCG(1, 0))
	const pairs = 20_000
	rtts := make([]time.Duration, pairs)
	for i := range rtts {
		a, b := Addr(r.IntN(100_000)), Addr(r.IntN(100_000))
		rtts[i] = latency(a, b, r) + latency(b, a, r)
	}
	slices.Sort(rtts)
	within := func(name string, got, want time.Duration) {
		if got < want*94/100 || got > want*109/100 { // jitter is +2.5 % on average
			t.Errorf("%s %v, want about %v", name, got, want)
		}
	}
	within("median", rtts[pairs/2], median)
	within("95th percentile", rtts[pairs*95/100], p95)
}

func TestLatencyOfAPairIsStable(t *testing.T) {
	latency := LognormalRTT(90*time.Millisecond, 350*time.Millisecond, 7)
	other := LognormalRTT(90*time.Millisecond, 350*time.Millisecond, 8)
	r := rand.New(rand.NewPCG(1, 0))
	same := 0
	for i := range 100 {
		for _, pair := range [][2]netip.AddrPort{{Addr(i), Addr(i + 1)}, {Addr6(i), Addr6(i + 1)}} {
			a, b := pair[0], pair[1]
			var lo, hi time.Duration = math.MaxInt64, 0
			for range 1000 {
				for _, d := range []time.Duration{latency(a, b, r), latency(b, a, r)} {
					lo, hi = min(lo, d), max(hi, d)
				}
			}
			// Jitter of -5 to +10 percent, and all of it is used.
			if spread := float64(hi) / float64(lo); spread < 1.14 || spread > 1.16 {
				t.Errorf("%v to %v: %v to %v", a, b, lo, hi)
			}
			if d := other(a, b, r); d >= lo && d <= hi {
				same++
			}
		}
	}
	if same > 60 {
		t.Errorf("%d of 200 pairs have the same latency under another seed", same)
	}
}

func TestLognormalRTTRejectsNonsense(t *testing.T) {
	for _, c := range [][2]time.Duration{{0, 1}, {-1, 1}, {2, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: no panic", c)
				}
			}()
			LognormalRTT(c[0], c[1], 0)
		}()
	}
}

package tracker

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// sampleOf asks m for a sample.
func (w *world) sampleOf(m *member) *krpc.Message {
	w.t.Helper()
	r, _ := w.ask(m, stranger, krpc.Message{Method: krpc.MethodSampleInfohashes, HasTarget: true, Target: hashOf(9)})
	if r.Kind != krpc.KindReply || r.Samples == nil || len(r.Samples)%krpc.IDLen != 0 || r.Interval < 0 || r.Interval > 21600 {
		w.t.Fatalf("answered %+v", r)
	}
	return r
}

// hashesOf returns the info-hashes in samples.
func hashesOf(samples []byte) (hashes []krpc.ID) {
	for ih := range slices.Chunk(samples, krpc.IDLen) {
		hashes = append(hashes, krpc.ID(ih))
	}
	return hashes
}

func storeHashes(t testing.TB, s *Swarms, from, to int, now time.Time) {
	t.Helper()
	for n := from; n < to; n++ {
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, now)
	}
}

// A young node soon has more to tell, and says so.
func TestSampleGrowsWithTheStore(t *testing.T) {
	w := newWorld(t, 20, Config{})
	m := w.any()
	if r := w.sampleOf(m); len(r.Samples) != 0 || r.Interval != 60 || r.Num != 0 || len(r.Nodes) != 8*26 {
		t.Fatalf("an empty store answered %+v", r)
	}
	storeHashes(t, m.swarms, 0, 10, w.clock.Now())
	w.clock.Run(59 * time.Second)
	if r := w.sampleOf(m); len(r.Samples) != 0 || r.Interval != 1 || r.Num != 10 {
		t.Fatalf("a second early, it answered %+v", r)
	}
	w.clock.Run(time.Second)
	if r := w.sampleOf(m); len(hashesOf(r.Samples)) != 10 || r.Interval != 600 {
		t.Fatalf("a minute later it answered %+v", r)
	}
	storeHashes(t, m.swarms, 10, 1000, w.clock.Now())
	w.clock.Run(10 * time.Minute)
	if r := w.sampleOf(m); len(hashesOf(r.Samples)) < 34 || r.Interval != 21600 || r.Num != 1000 {
		t.Fatalf("a full store answered %d samples, %+v", len(hashesOf(r.Samples)), r)
	}
	if st := m.Stats(); st.SampleRenewals != 3 || st.SampledHashes != maxSamples || st.SamplesServed < 10+34 {
		t.Errorf("stats %+v", st)
	}
}

// Whoever comes back before the interval is over learns nothing new, and whoever
// waits exactly that long does.
func TestSampleHoldsForItsInterval(t *testing.T) {
	w := newWorld(t, 20, Config{SampleInterval: 30 * time.Minute})
	m := w.any()
	storeHashes(t, m.swarms, 0, 1000, w.clock.Now())
	first := w.sampleOf(m)
	if first.Interval != 1800 {
		t.Fatalf("interval %d, want 1800", first.Interval)
	}
	storeHashes(t, m.swarms, 1000, 2000, w.clock.Now())
	left := first.Interval
	for left > 1 {
		w.clock.Run(time.Duration(left) * time.Second / 2)
		r := w.sampleOf(m)
		if !bytes.Equal(r.Samples, first.Samples) {
			t.Fatalf("another sample with %d s left", r.Interval)
		}
		left = r.Interval
	}
	w.clock.Run(time.Duration(left) * time.Second)
	if r := w.sampleOf(m); bytes.Equal(r.Samples, first.Samples) || r.Interval != 1800 || r.Num != 2000 {
		t.Errorf("after the interval: %+v", r)
	}
}

func TestSampleLeavesOutTheExpired(t *testing.T) {
	w := newWorld(t, 1, Config{})
	m := w.any()
	storeHashes(t, m.swarms, 0, 100, w.clock.Now())
	w.clock.Run(20 * time.Minute)
	storeHashes(t, m.swarms, 100, 105, w.clock.Now())
	sample := m.swarms.SampleHashes(maxSamples, rand.New(rand.NewPCG(1, 1)), w.clock.Now().Add(30*time.Minute))
	got := hashesOf(sample)
	slices.SortFunc(got, krpc.ID.Compare)
	want := []krpc.ID{hashOf(100), hashOf(101), hashOf(102), hashOf(103), hashOf(104)}
	if !slices.Equal(got, want) {
		t.Errorf("sampled %v, want %v", got, want)
	}
}

func TestSampleOfHashesIsUniform(t *testing.T) {
	const hashes, rounds = 400, 4000
	s := newSwarms(SwarmsConfig{Shards: 4})
	storeHashes(t, s, 0, hashes, start)
	rng := rand.New(rand.NewPCG(*seed, 7))
	counts, first := make([]int, hashes), make([]int, hashes)
	for range rounds {
		got := hashesOf(s.SampleHashes(maxSamples, rng, start))
		in := make(map[krpc.ID]bool)
		for i, ih := range got {
			n := int(ih[18])<<8 | int(ih[19])
			counts[n]++
			if i == 0 {
				first[n]++
			}
			in[ih] = true
		}
		if len(got) != maxSamples || len(in) != maxSamples {
			t.Fatalf("%d samples, %d distinct, want %d", len(got), len(in), maxSamples)
		}
	}
	for name, c := range map[string][]int{"anywhere": counts, "in the first place": first} {
		total := 0
		for _, n := range c {
			total += n
		}
		if x := chiSquare(c, total); math.Abs(x) > 4 {
			t.Errorf("%s: chi-square is off by %.1f deviations", name, x)
		}
	}
}

// Samples fill what the nodes leave, and have their place even beside the nodes of
// both families.
func TestSampleFillsTheReply(t *testing.T) {
	for name, c := range map[string]struct {
		v6          bool
		want        krpc.Want
		least, most int
	}{
		"IPv4": {want: 0, least: 32, most: 35},
		"IPv6": {v6: true, want: 0, least: 27, most: 29},
		"both": {want: krpc.WantN4 | krpc.WantN6, least: 32, most: 35}, // no sibling, so one family
	} {
		t.Run(name, func(t *testing.T) {
			addr := simnet.Addr
			if c.v6 {
				addr = simnet.Addr6
			}
			w := emptyWorld(t, addr)
			w.grow(20, Config{})
			m := w.any()
			storeHashes(t, m.swarms, 0, 1000, w.clock.Now())
			for tid := 1; tid <= 32; tid++ {
				r, length := w.ask(m, addr(77_777), krpc.Message{
					Method: krpc.MethodSampleInfohashes, HasTarget: true, Target: hashOf(9),
					TID: []byte(strings.Repeat("t", tid)), Want: c.want,
				})
				n := len(hashesOf(r.Samples))
				if length > krpc.MaxReply || n < c.least || n > c.most || n < maxSamples && length <= krpc.MaxReply-krpc.IDLen-10 {
					t.Errorf("tid of %d: %d samples in %d bytes", tid, n, length)
				}
			}
		})
	}
}

// Nodes give way, those of the other family first, until the least number of samples fits.
func TestSampleTakesRoomFromTheNodes(t *testing.T) {
	w := newWorld(t, 1, Config{})
	m := w.any()
	storeHashes(t, m.swarms, 0, 1000, w.clock.Now())
	rq := &krpc.Request{Now: w.clock.Now(), From: stranger}
	rq.Reply = krpc.Message{Kind: krpc.KindReply, TID: []byte("abcd"), Version: []byte("KN01"), IP: stranger, HasID: true}
	rq.Reply.Nodes, rq.Reply.Nodes6 = make([]byte, 16*krpc.Node4Len), make([]byte, 20*krpc.Node6Len)
	m.sampler.at(rq.Now).fill(rq)
	r := &rq.Reply
	if n := len(r.Samples) / krpc.IDLen; n < minSamples || n > minSamples+2 {
		t.Errorf("%d samples, want about %d", n, minSamples)
	}
	if rq.Room() < 0 || rq.Room() > krpc.Node6Len || len(r.Nodes) != 16*krpc.Node4Len || len(r.Nodes6) == 0 {
		t.Errorf("%d and %d bytes of nodes, and room for %d", len(r.Nodes), len(r.Nodes6), rq.Room())
	}
}

func TestSampleIsRenewedOnce(t *testing.T) {
	w := newWorld(t, 1, Config{})
	m := w.any()
	storeHashes(t, m.swarms, 0, 1000, w.clock.Now())
	now := w.clock.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				m.sampler.at(now.Add(time.Duration(i) * time.Millisecond))
			}
		})
	}
	wg.Wait()
	if st := m.Stats(); st.SampleRenewals != 1 {
		t.Errorf("%d renewals, want 1", st.SampleRenewals)
	}
}

// FuzzSampleInfohashes sends a node with a store queries that go through every
// handler.
func FuzzSampleInfohashes(f *testing.F) {
	w := newWorld(f, 20, Config{})
	m := w.any()
	storeHashes(f, m.swarms, 0, 100, w.clock.Now())
	for _, q := range []krpc.Message{
		{Method: krpc.MethodSampleInfohashes, HasTarget: true},
		{Method: krpc.MethodSampleInfohashes, HasTarget: true, Want: krpc.WantN4 | krpc.WantN6},
		{Method: krpc.MethodSampleInfohashes},
		{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: hashOf(1)},
	} {
		f.Add(packetOf(q), int64(0))
	}
	f.Fuzz(func(t *testing.T, packet []byte, later int64) {
		var out outbox
		m.node.Deliver(w.clock.Now().Add(time.Duration(later)), stranger, packet, &out)
		if len(out.sent) > krpc.MaxReply {
			t.Errorf("%d bytes", len(out.sent))
		}
		var r krpc.Message
		if len(out.sent) > 0 && (r.Decode(out.sent) != nil || r.Malformed != 0 || r.Interval < 0 || r.Interval > 21600) {
			t.Errorf("answered %q", out.sent)
		}
	})
}

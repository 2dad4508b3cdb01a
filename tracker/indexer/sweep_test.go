package indexer

import (
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// check checks that the sweep found its share of what is stored with so many queries a
// node, and asked no node more often for samples.
func (r *run) check(p Progress, wantShare, maxQueries float64, maxAsked uint64) {
	r.w.t.Helper()
	share, queries := r.w.foundShare(r), float64(p.Queries)/float64(len(r.w.Hosts))
	mean, most := r.w.asked()
	r.w.t.Logf("%.2f%% found, %.3f queries a node, %.4f of them for samples, %d at most", 100*share, queries, mean, most)
	if share < wantShare || queries > maxQueries || most > maxAsked {
		r.w.t.Errorf("want %.0f%%, %.1f queries a node, %d for samples at most", 100*wantShare, maxQueries, maxAsked)
	}
	for ih, n := range r.found {
		if _, stored := r.w.hashes[ih]; !stored || n > 1 {
			r.w.t.Fatalf("%v was told of %d times, stored: %v", ih, n, stored)
		}
	}
}

var sweptNodes = flag.Int("nodes", 4000, "nodes of the world of TestSweepFindsEverything")

// One sweep finds what there is, and asks every node once.
//
//	go test ./tracker/indexer -run SweepFindsEverything -v -args -nodes 10000
func TestSweepFindsEverything(t *testing.T) {
	nodes, hashes := *sweptNodes, 5**sweptNodes
	r := newWorld(t, nodes, hashes, false).sweep(nil)
	p := r.toEnd()
	r.check(p, .99, 1.3, 1)
	within := func(name string, got int64, want int) {
		if x := float64(got) / float64(want); x < .9 || x > 1.1 {
			t.Errorf("%s is estimated at %d, want %d", name, got, want)
		}
	}
	within("the network", p.NetworkSize, nodes)
	within("what is stored", p.StoredHashes, hashes)
	if p.Share != 1 || !p.Done || p.Hashes != int64(len(r.found)) || p.Supporting != p.Visited {
		t.Errorf("at the end: %+v", p)
	}
}

func TestSweepOverIPv6(t *testing.T) {
	r := smallWorld(t, 300, true).sweep(nil)
	r.check(r.toEnd(), .99, 1.3, 1)
}

// In a network smaller than a reply there is one zone.
func TestSweepOfAHandful(t *testing.T) {
	for _, nodes := range []int{2, 9, 30} {
		w := smallWorld(t, nodes, false)
		r := w.sweep(nil)
		if p := r.toEnd(); p.Visited != int64(nodes-1) {
			t.Errorf("visited %d nodes of %d", p.Visited, nodes-1)
		}
	}
}

func TestSweepWithLoss(t *testing.T) {
	w := smallWorld(t, 300, false)
	link := w.Link()
	link.Loss = .02
	w.Net.SetLink(link)
	r := w.sweep(nil)
	r.check(r.toEnd(), .99, 1.3, 2)
}

// The dead are asked twice and not waited for.
func TestSweepAmongTheDead(t *testing.T) {
	w := smallWorld(t, 300, false)
	for _, h := range w.Hosts[1:] {
		if w.Rand.Float64() < .3 {
			w.Kill(h)
		}
	}
	r := w.sweep(nil)
	p := r.toEnd()
	if p.Visited <= p.Answered {
		t.Errorf("nobody was dead: %+v", p)
	}
	r.check(p, .97, 1.7, 2)
}

// A node that knows nothing of samples is visited, and shows the way to others.
func TestSweepAmongNodesWithoutSamples(t *testing.T) {
	w := smallWorld(t, 300, false)
	for i, h := range w.Hosts {
		switch i % 3 {
		case 1:
			h.Handle(krpc.MethodSampleInfohashes, nil) // as if it were find_node
		case 2:
			h.Handle(krpc.MethodSampleInfohashes, func(*kademlia.Node, *krpc.Request) error {
				return &krpc.Error{Code: krpc.CodeMethodUnknown, Text: "method unknown"}
			})
		}
	}
	r := w.sweep(nil)
	p := r.toEnd()
	if float64(p.Answered) < .95*float64(len(w.Hosts)) || p.Supporting*2 > p.Answered || p.Supporting == 0 {
		t.Errorf("%d of %d nodes have samples", p.Supporting, p.Answered)
	}
	r.check(p, .8, 1.3, 1)
}

// Not more nodes are asked in a second than the rate allows.
func TestSweepKeepsItsRate(t *testing.T) {
	w := smallWorld(t, 300, false)
	r := w.sweep(func(cfg *Config) { cfg.Rate = 20 })
	var last int64
	for !r.ended {
		w.Clock.Run(time.Second)
		p := r.Progress()
		if n := int64(w.sent()) - last; n > 21 {
			t.Fatalf("%d nodes asked in a second", n)
		}
		last = int64(w.sent())
		if p.Asked > p.MaxAsked || p.ZoneNodes > p.MaxZoneNodes || p.Seeds > p.MaxSeeds {
			t.Fatalf("beyond a bound: %+v", p)
		}
	}
	if r.err != nil || float64(last) < .95*float64(len(w.Hosts)) {
		t.Errorf("ended with %v after %d queries", r.err, last)
	}
}

// sent returns how many queries for samples the first node has sent.
func (w *world) sent() uint64 {
	st := w.Hosts[0].Stats()
	return st.Endpoint.Methods[krpc.MethodSampleInfohashes].QueriesOut
}

// lie puts so many nodes into the world that name each other and make info-hashes up,
// lets the sweep find one of them, and returns how many of them were asked.
func (r *run) lie(liars int, id func(i int) krpc.ID) (asked *int) {
	asked = new(int)
	rng := rand.New(rand.NewPCG(*seed, 5))
	liar := func(i int) krpc.NodeInfo {
		return krpc.NodeInfo{ID: id(i % liars), Addr: r.w.addr(2_000_000 + i%liars)}
	}
	for i := range liars {
		r.w.Net.Host(liar(i).Addr, func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			var q krpc.Message
			if q.Decode(b) != nil || q.Kind != krpc.KindQuery {
				return
			}
			if q.Method == krpc.MethodSampleInfohashes {
				*asked++
			}
			m := krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: id(i), Samples: []byte{}, Num: 1 << 62}
			for j := range 20 {
				m.Nodes = krpc.AppendNode(m.Nodes, liar(20*i+j+1))
			}
			for range 60 {
				ih := krpc.RandomID(rng)
				m.Samples = append(m.Samples, ih[:]...)
			}
			out.Push(from, m.Append(out.Buffer()))
		})
	}
	r.seeds.add(liar(0))
	return asked
}

// Thousands of liars at one place take a few places there, and nothing else.
func TestSweepGetsPastACrowd(t *testing.T) {
	w := smallWorld(t, 500, false)
	r := w.sweep(nil)
	asked := r.lie(5000, func(i int) (id krpc.ID) {
		id = krpc.ID{0xaa, 0xbb, 0xcc}
		binary.BigEndian.PutUint32(id[16:], uint32(i))
		return id
	})
	p := r.toEnd()
	t.Logf("%.2f%% found, %d liars asked", 100*w.foundShare(r), *asked)
	if share := w.foundShare(r); share < .97 || *asked > maxPerCell || *asked < cellNodes || p.Dropped == 0 {
		t.Errorf("want 97%%, and at most %d liars asked", maxPerCell)
	}
}

// Thousands of liars everywhere in a zone are asked, up to a bound.
func TestSweepComesToAnEnd(t *testing.T) {
	w := smallWorld(t, 100, false)
	r := w.sweep(nil)
	asked := r.lie(5000, func(i int) krpc.ID {
		return krpc.RandomID(rand.New(rand.NewPCG(*seed, uint64(i))))
	})
	p := r.toEnd()
	t.Logf("%.2f%% found, %d liars asked", 100*w.foundShare(r), *asked)
	if *asked > p.MaxZoneNodes || *asked < p.MaxZoneNodes/2 || w.foundShare(r) < .5 {
		t.Errorf("want 50%%, and at most %d liars asked", p.MaxZoneNodes)
	}
	if p.Remembered > p.MaxRemembered {
		t.Errorf("%d info-hashes remembered, want at most %d", p.Remembered, p.MaxRemembered)
	}
}

// Who comes too late, or not at all, is told why.
func TestSweepEndsEarly(t *testing.T) {
	w := smallWorld(t, 30, false)
	r := w.sweep(nil)
	r.Stop()
	r.Stop()
	if !errors.Is(r.err, kademlia.ErrStopped) || !r.ended {
		t.Errorf("a sweep that was stopped ended with %v", r.err)
	}
	r.Start()
	w.Clock.Run(time.Minute)
	if p := r.Progress(); p.Queries != 0 || p.Done {
		t.Errorf("it went on: %+v", p)
	}

	r = w.sweep(nil)
	w.Clock.Run(time.Second)
	w.Hosts[0].Close()
	w.Clock.Run(time.Minute)
	if !errors.Is(r.err, krpc.ErrClosed) {
		t.Errorf("the sweep of a node that was closed ended with %v", r.err)
	}
}

// A sweep that is stopped leaves neither a lookup nor a timer.
func TestStopLeavesNothingBehind(t *testing.T) {
	w := smallWorld(t, 30, false)
	self := w.Hosts[0]
	before := self.Stats().ActiveLookups
	r := w.sweep(nil)
	if n := self.Stats().ActiveLookups; n != before+1 {
		t.Fatalf("%d lookups under way, want one more than %d", n, before)
	}
	r.Stop()
	if n := self.Stats().ActiveLookups; n != before {
		t.Errorf("%d lookups under way, want %d as before", n, before)
	}

	alone := smallWorld(t, 1, false)
	r = alone.sweep(nil)
	alone.Clock.Run(time.Second)
	timers := alone.Clock.Pending()
	r.Stop() // while it waits for the next lookup
	if n := alone.Clock.Pending(); n != timers-1 {
		t.Errorf("%d timers, want one fewer than %d", n, timers)
	}
}

// A callback may ask how far the sweep is, and end it.
func TestCallbacksMayCallTheIndexer(t *testing.T) {
	w := smallWorld(t, 30, false)
	var r *run
	r = w.sweep(func(cfg *Config) {
		cfg.OnSample = func(krpc.ID) {
			if p := r.Progress(); p.Hashes == 0 || !r.Checkpoint().begun {
				t.Errorf("told of a sample before it counts: %+v", p)
			}
			r.Stop()
		}
	})
	w.Clock.Run(time.Minute)
	if p := r.Progress(); !errors.Is(r.err, kademlia.ErrStopped) || p.Visited == 0 || p.Visited > 20 {
		t.Errorf("ended with %v: %+v", r.err, p)
	}
}

func TestSweepWithoutANetwork(t *testing.T) {
	w := smallWorld(t, 1, false)
	r := w.sweep(nil)
	w.Clock.Run(10 * time.Minute)
	if !errors.Is(r.err, ErrNoNodes) {
		t.Errorf("ended with %v, want %v", r.err, ErrNoNodes)
	}
}

// Nobody is written off because the network was down for a while.
func TestSweepOutlastsAnOutage(t *testing.T) {
	w := smallWorld(t, 300, false)
	r := w.sweep(nil)
	w.Clock.RunUntil(func() bool { return r.Progress().Share > .3 }, time.Minute)
	self := w.Hosts[0].Addr
	w.Net.Partition(func(a netip.AddrPort) int {
		if a == self {
			return 1
		}
		return 0
	})
	w.Clock.Run(2 * time.Minute)
	w.Net.Heal()
	r.check(r.toEnd(), .99, 5, 4)
}

func TestConfigIsChecked(t *testing.T) {
	w := smallWorld(t, 1, false)
	good := Config{Node: w.Hosts[0].Node, Rand: w.Rand}
	for name, edit := range map[string]func(*Config){
		"no node":         func(c *Config) { c.Node = nil },
		"no randomness":   func(c *Config) { c.Rand = nil },
		"a negative rate": func(c *Config) { c.Rate = -1 },
		"another family":  func(c *Config) { c.Resume = Checkpoint{begun: true, v6: true} },
	} {
		cfg := good
		edit(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

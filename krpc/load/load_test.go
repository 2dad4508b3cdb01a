package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

// patience bounds every wait for a node that must answer.
const patience = 20 * time.Second

// fakeNode answers every query rightly, or as the test wants.
type fakeNode struct {
	addr netip.AddrPort
	// spoil changes the reply, or returns what ServeKRPC is to.
	spoil atomic.Pointer[func(rq *krpc.Request) error]
	heard [krpc.NumMethods]atomic.Uint64
}

var (
	fakeID    = krpc.ID{1, 2, 3}
	fakeNodes = krpc.AppendNode(nil, krpc.NodeInfo{ID: krpc.ID{4}, Addr: netip.MustParseAddrPort("192.0.2.1:6881")})
	fakeToken = []byte("01234567")
	fakePeers = krpc.AppendPeer(nil, netip.MustParseAddrPort("192.0.2.2:6881"))
)

func startFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	s, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{addr: s.LocalAddr()}
	e := krpc.NewEndpoint(krpc.EndpointConfig{Transport: s, Clock: krpc.SystemClock{}, Handler: n, Rand: newRand()})
	s.Serve(e.Deliver)
	t.Cleanup(func() {
		e.Close()
		s.Close()
	})
	return n
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func (n *fakeNode) ServeKRPC(rq *krpc.Request) error {
	n.heard[rq.Query.Method].Add(1)
	r := &rq.Reply
	r.HasID, r.ID = true, fakeID
	switch rq.Query.Method {
	case krpc.MethodFindNode:
		for range replyNodes {
			r.Nodes = append(r.Nodes, fakeNodes...)
		}
	case krpc.MethodGetPeers:
		r.Nodes, r.Token, r.Values = fakeNodes, fakeToken, fakePeers
	case krpc.MethodAnnouncePeer:
		if string(rq.Query.Token) != string(fakeToken) {
			return &krpc.Error{Code: krpc.CodeProtocol, Text: "bad token"}
		}
	}
	if f := n.spoil.Load(); f != nil {
		return (*f)(rq)
	}
	return nil
}

// openPrepared returns a generator with one address that the node is prepared for,
// which takes less time than with many.
func openPrepared(t *testing.T, cfg Config) *Generator {
	t.Helper()
	cfg.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	return openPopulated(t, cfg)
}

// openPopulated returns a generator with all its addresses.
func openPopulated(t *testing.T, cfg Config) *Generator {
	t.Helper()
	cfg.Rand = newRand()
	g, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.Greet(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := g.Prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Echo && (p.ID != fakeID || p.Peers != swarms*swarmPeers) {
		t.Fatalf("prepared %+v", p)
	}
	return g
}

func (g *Generator) runFor(t *testing.T, o Options) Result {
	t.Helper()
	if o.Duration == 0 {
		o.Duration = patience
	}
	r, err := g.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClosedLoop(t *testing.T) {
	n := startFakeNode(t)
	g := openPopulated(t, Config{Target: n.addr})
	var before [krpc.NumMethods]uint64
	for m := range n.heard {
		before[m] = n.heard[m].Load()
	}
	const requests = 10_000
	r := g.runFor(t, Options{Mix: Mainline(), InFlight: 64, Requests: requests})
	if r.Sent != requests || r.Replies != requests || r.Errors+r.Wrong+r.Lost+r.Unsent > 0 || r.Fault != "" {
		t.Errorf("result %+v", r)
	}
	if r.Elapsed <= 0 || r.Rate() <= 0 || r.Latency.Quantile(.5) <= 0 || r.Latency.Quantile(.5) > r.Latency.Quantile(.99) {
		t.Errorf("%v, %v a second, %v and %v", r.Elapsed, r.Rate(), r.Latency.Quantile(.5), r.Latency.Quantile(.99))
	}
	for m, want := range map[krpc.Method]uint64{
		krpc.MethodPing: 1500, krpc.MethodFindNode: 2500, krpc.MethodGetPeers: 5000, krpc.MethodAnnouncePeer: 1000,
	} {
		if got := n.heard[m].Load() - before[m]; got != want {
			t.Errorf("%d queries %v, want %d", got, m, want)
		}
	}
}

func TestOpenLoopKeepsThePace(t *testing.T) {
	n := startFakeNode(t)
	g := openPopulated(t, Config{Target: n.addr})
	r := g.runFor(t, Options{Mix: Mainline(), Rate: 5000, Duration: 200 * time.Millisecond})
	if r.Sent == 0 || r.Sent+r.Unsent > 1000 || r.Replies != r.Sent {
		t.Errorf("result %+v", r)
	}
}

func TestOpenLoopDoesNotWaitForReplies(t *testing.T) {
	n := startFakeNode(t)
	g := openPrepared(t, Config{Target: n.addr, Timeout: 100 * time.Millisecond})
	silent := func(*krpc.Request) error { return krpc.ErrDrop }
	n.spoil.Store(&silent)
	r := g.runFor(t, Options{Mix: Only(Ping), Rate: 5000, Duration: 200 * time.Millisecond})
	if r.Sent == 0 || r.Lost != r.Sent || r.Replies > 0 {
		t.Errorf("result %+v", r)
	}
}

func TestFaultsAreFound(t *testing.T) {
	n := startFakeNode(t)
	g := openPrepared(t, Config{Target: n.addr, Timeout: 100 * time.Millisecond})
	const requests = 50
	for _, tc := range []struct {
		name  string
		kind  Kind
		spoil func(rq *krpc.Request) error
		want  Result
		fault string
	}{
		{"an error", Ping, func(*krpc.Request) error { return &krpc.Error{Code: 203, Text: "no\n"} },
			Result{Errors: requests}, `ping: error 203: "no\n"`},
		{"silence", FindNode, func(*krpc.Request) error { return krpc.ErrDrop }, Result{Lost: requests}, ""},
		{"another id", Ping, func(rq *krpc.Request) error { rq.Reply.ID[0]++; return nil },
			Result{Wrong: requests}, faultID},
		{"no id", Ping, func(rq *krpc.Request) error { rq.Reply.HasID = false; return nil },
			Result{Wrong: requests}, faultID},
		{"no nodes", FindNode, func(rq *krpc.Request) error { rq.Reply.Nodes = nil; return nil },
			Result{Wrong: requests}, faultNodes},
		{"a torn list of nodes", FindNode, func(rq *krpc.Request) error { rq.Reply.Nodes = fakeNodes[1:]; return nil },
			Result{Wrong: requests}, faultMalformed},
		{"no token", GetPeersMiss, func(rq *krpc.Request) error { rq.Reply.Token = nil; return nil },
			Result{Wrong: requests}, faultToken},
		{"no peers", GetPeersHit, func(rq *krpc.Request) error { rq.Reply.Values = nil; return nil },
			Result{Wrong: requests}, faultValues},
		// Each of these is lost too.
		{"another transaction id", Ping, func(rq *krpc.Request) error { rq.Reply.TID = []byte("x"); return nil },
			Result{Wrong: requests, Lost: requests}, "not KRPC"},
	} {
		n.spoil.Store(&tc.spoil)
		r := g.runFor(t, Options{Mix: Only(tc.kind), InFlight: requests, Requests: requests})
		if r.Replies > 0 || r.Errors != tc.want.Errors || r.Wrong != tc.want.Wrong || r.Lost != tc.want.Lost {
			t.Errorf("%s: %d errors, %d wrong, %d lost, want %+v", tc.name, r.Errors, r.Wrong, r.Lost, tc.want)
		}
		if !strings.Contains(r.Fault, tc.fault) {
			t.Errorf("%s: fault %q", tc.name, r.Fault)
		}
	}
}

func TestLateRepliesAreNotThoseToLaterQueries(t *testing.T) {
	n := startFakeNode(t)
	g := openPrepared(t, Config{Target: n.addr, Timeout: 60 * time.Millisecond})
	late := make(chan struct{})
	answer := sync.OnceFunc(func() { close(late) })
	t.Cleanup(answer)
	slow := func(*krpc.Request) error { <-late; return nil }
	n.spoil.Store(&slow)
	g.runFor(t, Options{Mix: Only(FindNode), InFlight: 1, Requests: 2})
	n.spoil.Store(nil)
	answer()
	r := g.runFor(t, Options{Mix: Only(Ping), InFlight: 1, Duration: time.Second})
	if r.Wrong > 0 || r.Replies == 0 {
		t.Errorf("result %+v", r)
	}
}

func TestNodeThatStoresNothing(t *testing.T) {
	n := startFakeNode(t)
	bare := func(rq *krpc.Request) error { rq.Reply.Token, rq.Reply.Values = nil, nil; return nil }
	n.spoil.Store(&bare)
	g, err := Open(Config{Target: n.addr, Rand: newRand(), Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Greet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := g.Prepare(t.Context()); err != nil || p.Peers != 0 {
		t.Fatalf("prepared %+v, error %v", p, err)
	}
	if _, err := g.Run(t.Context(), Options{Mix: Mainline(), InFlight: 1, Requests: 1, Duration: time.Second}); err == nil {
		t.Error("announces without tokens: no error")
	}
	if r := g.runFor(t, Options{Mix: Only(GetPeersMiss), InFlight: 1, Requests: 10}); r.Replies != 10 {
		t.Errorf("result %+v", r)
	}
}

func TestNobodyAnswers(t *testing.T) {
	g, err := Open(Config{Target: netip.MustParseAddrPort("127.0.0.1:9"), Rand: newRand(), Timeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Greet(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	target := netip.MustParseAddrPort("127.0.0.1:9")
	for name, cfg := range map[string]Config{
		"no target":         {Rand: newRand()},
		"no source":         {Target: target},
		"address not there": {Target: target, Rand: newRand(), Listen: netip.MustParseAddrPort("192.0.2.1:0")},
	} {
		if g, err := Open(cfg); err == nil {
			g.Close()
			t.Errorf("%s: no error", name)
		}
	}
	n := startFakeNode(t)
	g := openPrepared(t, Config{Target: n.addr})
	if _, err := g.Run(t.Context(), Options{InFlight: 1, Duration: time.Second}); err == nil {
		t.Error("empty mix: no error")
	}
}

// TestLoadAllocatesNothing has an echo answer, so that all there is to allocate is the
// generator's and that of krpc/udp.
func TestLoadAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Serve(func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		out.Push(from, append(out.Buffer(), b...))
	})
	g := openPopulated(t, Config{Target: s.LocalAddr(), Echo: true})
	const requests = 20_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := g.runFor(t, Options{Mix: Mainline(), InFlight: 64, Requests: requests})
	runtime.ReadMemStats(&after)
	if r.Replies != requests {
		t.Fatalf("result %+v", r)
	}
	if n := after.Mallocs - before.Mallocs; n > requests/100 {
		t.Errorf("%d allocations for %d queries", n, requests)
	}
}

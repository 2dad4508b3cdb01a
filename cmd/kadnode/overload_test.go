package main

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/load"
	"github.com/kadnode/kadnode/tracker"
)

// TestLookupsEndUnderOverload has a node look up peers while it is asked twice as much as
// it can answer, so that the kernel drops many of the replies that it waits for.
func TestLookupsEndUnderOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("keeps all cores busy for some seconds")
	}
	bootstrap := startTestnet(t, "--nodes", "30")
	friend, busy := joinTestnet(t, bootstrap), joinTestnet(t, bootstrap)
	var hashes []krpc.ID
	for n := range 10 {
		hashes = append(hashes, krpc.ID{byte(n * 25), 1})
		if _, err := friend.tracker.Announce(t.Context(), hashes[n], tracker.AnnounceOptions{Port: 6881}); err != nil {
			t.Fatal(err)
		}
	}
	replies := startFloods(t, busy)
	var took []time.Duration
	for start := time.Now(); time.Since(start) < 3*time.Second; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		began, found := time.Now(), 0
		for range busy.tracker.GetPeers(ctx, hashes[len(took)%len(hashes)]) {
			found++
		}
		took = append(took, time.Since(began))
		if ctx.Err() != nil || found != 1 {
			t.Errorf("%d peers after %v", found, time.Since(began))
		}
		cancel()
	}
	slices.Sort(took)
	answered, lost := replies()
	t.Logf("%d lookups took %v, the slowest %v, while %d queries were answered and %d lost",
		len(took), took[len(took)/2], took[len(took)-1], answered, lost)
	if answered == 0 {
		t.Error("no query was answered")
	}
}

// startFloods asks s twice as much as it can answer, until the function returned is
// called.
func startFloods(t *testing.T, s *server) (stop func() (answered, lost uint64)) {
	t.Helper()
	floods := []*load.Generator{newFlood(t, s), newFlood(t, s)}
	mix := load.Mainline()
	peak, err := floods[0].Run(t.Context(), load.Options{Mix: mix, InFlight: 128, Duration: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan load.Result, len(floods))
	for _, g := range floods {
		go func() {
			r, _ := g.Run(ctx, load.Options{Mix: mix, Rate: overload * peak.Rate() / float64(len(floods)), Duration: time.Hour})
			results <- r
		}()
	}
	return func() (answered, lost uint64) {
		cancel()
		for range floods {
			r := <-results
			answered, lost = answered+r.Replies, lost+r.Lost
		}
		return answered, lost
	}
}

// joinTestnet starts a node in this process and waits until it has joined.
func joinTestnet(t *testing.T, bootstrap string) *server {
	t.Helper()
	joined := make(chan struct{}, 1)
	s, err := newServer(kademlia.Config{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Bootstrap: []string{bootstrap},
		RateLimit: -1, Version: protocolVersion,
		Joined: func(_ *kademlia.Node, err error) {
			if err == nil {
				trySend(joined, struct{}{})
			}
		},
	}, capacity{}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	s.start()
	select {
	case <-joined:
	case <-time.After(patience):
		t.Fatal("not joined")
	}
	return s
}

// newFlood returns a generator that asks s from one address, with no nodes of its own.
func newFlood(t *testing.T, s *server) *load.Generator {
	t.Helper()
	g, err := load.Open(load.Config{
		Target: s.dht.Nodes()[0].LocalAddr(), Rand: rand.New(rand.NewPCG(1, 2)),
		Listen: netip.MustParseAddrPort("127.0.0.1:0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := g.Greet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := g.Prepare(t.Context()); err != nil || p.Peers == 0 {
		t.Fatalf("%d peers stored, error %v", p.Peers, err)
	}
	return g
}

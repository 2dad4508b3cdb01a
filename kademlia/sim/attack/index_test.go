package attack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// Sixty-four addresses in four networks announce a hundred peers each that do not exist, in a
// swarm of thirty (Liang, Naoumov and Ross, INFOCOM 2006).
func TestIndexPoisoning(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	const honest, addresses, ports = 30, 64, 100
	poison := func(swarms tracker.SwarmsConfig) (found, lies int, held float64) {
		f := NewField(sim.Config{Nodes: 100, Seed: *seed}, swarms)
		ih := krpc.RandomID(f.Rand)
		announcers := make(map[netip.AddrPort]bool)
		f.each(honest, func(i int, done func()) {
			h := f.Hosts[i]
			announcers[netip.AddrPortFrom(h.Addr.Addr(), peerPort)] = true
			o := tracker.AnnounceOptions{Port: peerPort}
			if _, err := f.services[h.Node].AnnouncePeer(ih, o, nil, func(tracker.AnnounceResult) { done() }); err != nil {
				t.Fatal(err)
			}
		})
		holders := f.holders(ih)
		for i := range addresses {
			w := f.wire(t, Cramped(addresses, 4)(i))
			for _, h := range holders {
				r := w.ask(h.Addr, getPeers(ih))
				if r == nil || r.Token == nil {
					continue // no more of this network are wanted
				}
				for port := range ports {
					w.send(h.Addr, announcePeer(ih, uint16(1+port), r.Token))
				}
			}
		}
		f.Clock.Run(time.Second)
		for _, h := range holders {
			_, peers := f.services[h.Node].peers.Count(ih, f.Clock.Now())
			held += float64(peers) / float64(len(holders))
		}
		f.each(1, func(_ int, done func()) {
			f.services[f.seeker(ih).Node].FindPeers(ih, func(p netip.AddrPort) {
				if announcers[p] {
					found++
				} else {
					lies++
				}
			}, func(tracker.PeersResult) { done() })
		})
		return found, lies, held
	}
	t.Logf("-seed=%d", *seed)
	found, lies, held := poison(tracker.SwarmsConfig{MaxPeersPerIP: 1 << 16, MaxPeersPerSubnet: 1 << 16})
	t.Logf("without bounds on an address and a network: %d of %d peers are found, and %d false ones; a node has %.0f", found, honest, lies, held)
	found, lies, held = poison(tracker.SwarmsConfig{})
	t.Logf("%d of %d peers are found, and %d false ones; a node has %.0f", found, honest, lies, held)
	if found != honest || held > honest+4*16 {
		t.Errorf("%d of %d peers are found, and %d false ones; a node has %.0f", found, honest, lies, held)
	}
}

// A crawler asks a node for its info-hashes a thousand times within an hour (BEP 51).
func TestCrawlersLearnLittle(t *testing.T) {
	const hashes, queries = 10_000, 1000
	f := newField(t, 40)
	node := f.Hosts[3]
	peers := f.services[node.Node].peers
	for i := range hashes {
		if err := peers.Announce(krpc.RandomID(f.Rand), Networks(i), false, f.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	w := f.wire(t, Networks(1_000_000))
	seen, naive := make(map[krpc.ID]bool), make(map[krpc.ID]bool)
	for range queries {
		r := w.ask(node.Addr, krpc.Message{Method: krpc.MethodSampleInfohashes, HasTarget: true})
		if r == nil {
			t.Fatal("no answer")
		}
		learn(seen, r.Samples)
		learn(naive, peers.SampleHashes(len(r.Samples)/krpc.IDLen, f.Rand, f.Clock.Now()))
		f.Clock.Run(time.Hour/queries - time.Second)
	}
	t.Logf("of %d info-hashes the crawler knows %d; with another sample for each query %d", hashes, len(seen), len(naive))
	if len(seen) > 36 {
		t.Errorf("the crawler knows %d info-hashes", len(seen))
	}
}

func learn(known map[krpc.ID]bool, samples []byte) {
	for ; len(samples) >= krpc.IDLen; samples = samples[krpc.IDLen:] {
		known[krpc.ID(samples)] = true
	}
}

package attack

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

const (
	// workInterval is the time between the starts of two announces or searches.
	workInterval = 50 * time.Millisecond
	// patience is the longest that all of them may take.
	patience = 20 * time.Minute
	// peerPort is where the announced peers listen.
	peerPort = 51413
)

// Outcome sums up how many peers were found that had been announced.
type Outcome struct {
	Searches int           // that were made: each looks for the peer of one target
	Alarms   int           // searches that have met a crowd around the target; a naive client knows of none
	Found    int           // searches that found the announced peer, whatever else they were told
	Stored   float64       // honest nodes that have stored the peer of a target, on average; in peace 8 or some more
	Queries  float64       // that a search sends, on average, to whomever
	First    time.Duration // the median time to the announced peer, of the searches that found it
	Took     time.Duration // the median time to the end of a search, found or not
}

// Share returns the share of the searches that found their peer.
func (o Outcome) Share() float64 { return float64(o.Found) / float64(o.Searches) }

// String returns the outcome as a line.
func (o Outcome) String() string {
	return fmt.Sprintf("%.1f %% of %d found, %d alarms, stored by %.1f, %.1f queries, first peer after %v, end after %v",
		100*o.Share(), o.Searches, o.Alarms, o.Stored, o.Queries, o.First.Round(time.Millisecond), o.Took.Round(time.Millisecond))
}

// Measure announces a peer of each of the targets from a random node, searches for it
// from each of so many others, and tells what came of it.
func (f *Field) Measure(targets []krpc.ID, seekers int) Outcome {
	m := measure{f: f, targets: targets, seekers: seekers, out: Outcome{Searches: len(targets) * seekers}}
	m.announceAll(func(i int, done func()) netip.Addr {
		h, o := f.RandomHost(), tracker.AnnounceOptions{Port: peerPort}
		if _, err := f.services[h.Node].AnnouncePeer(targets[i], o, nil, func(tracker.AnnounceResult) { done() }); err != nil {
			panic(err)
		}
		return h.Addr.Addr()
	})
	m.searchAll(func(h *sim.Host, ih krpc.ID, onPeer func(netip.AddrPort), done func(queries int)) {
		f.services[h.Node].FindPeers(ih, onPeer, func(res tracker.PeersResult) {
			if res.Lookups[0].Alarm {
				m.out.Alarms++
			}
			done(res.Lookups[0].Queries)
		})
	})
	return m.out
}

// MeasureNaive is Measure where announces and searches are those of naive clients. The nodes
// that they ask are the same.
func (f *Field) MeasureNaive(targets []krpc.ID, seekers int) Outcome {
	m := measure{f: f, targets: targets, seekers: seekers, out: Outcome{Searches: len(targets) * seekers}}
	m.announceAll(func(i int, done func()) netip.Addr {
		l := f.naively(f.RandomHost(), targets[i], func(netip.AddrPort) {}, func(l *naive) {
			l.announce(peerPort)
			f.Clock.AfterFunc(naiveTimeout, done)
		})
		return l.net.LocalAddr().Addr()
	})
	m.searchAll(func(h *sim.Host, ih krpc.ID, onPeer func(netip.AddrPort), done func(queries int)) {
		f.naively(h, ih, onPeer, func(l *naive) { done(l.asked) })
	})
	return m.out
}

// measure is a Measure under way.
type measure struct {
	f       *Field
	targets []krpc.ID
	seekers int
	peers   []netip.AddrPort // announced, by target
	out     Outcome
	first   []time.Duration
	took    []time.Duration
}

// announceAll has start announce a peer of each target, and remembers its address.
func (m *measure) announceAll(start func(i int, done func()) netip.Addr) {
	m.peers = make([]netip.AddrPort, len(m.targets))
	m.f.each(len(m.targets), func(i int, done func()) {
		m.peers[i] = netip.AddrPortFrom(start(i, done), peerPort)
	})
	for _, ih := range m.targets {
		m.out.Stored += float64(len(m.f.holders(ih))) / float64(len(m.targets))
	}
}

// searchAll has start search for the peer of each target from nodes that have none themselves.
func (m *measure) searchAll(start func(h *sim.Host, ih krpc.ID, onPeer func(netip.AddrPort), done func(queries int))) {
	f := m.f
	f.each(m.out.Searches, func(i int, done func()) {
		ih, peer, began, found := m.targets[i/m.seekers], m.peers[i/m.seekers], f.Clock.Now(), false
		start(f.seeker(ih), ih, func(p netip.AddrPort) {
			if p == peer && !found {
				found = true
				m.out.Found++
				m.first = append(m.first, f.Clock.Now().Sub(began))
			}
		}, func(queries int) {
			m.took = append(m.took, f.Clock.Now().Sub(began))
			m.out.Queries += float64(queries) / float64(m.out.Searches)
			done()
		})
	})
	m.out.First, m.out.Took = median(m.first), median(m.took)
}

// each starts n pieces of work, one after another, and runs the world until all have
// called done.
func (f *Field) each(n int, start func(i int, done func())) {
	left := n
	for i := range n {
		f.Clock.AfterFunc(time.Duration(i)*workInterval, func() { start(i, func() { left-- }) })
	}
	f.Clock.RunUntil(func() bool { return left == 0 }, patience)
}

// median returns the middle of the times; 0 of none.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

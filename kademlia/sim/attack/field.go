package attack

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

const (
	// joinInterval and settleTime are how a Field is built.
	joinInterval = 20 * time.Millisecond
	settleTime   = 10 * time.Minute
)

// Field is a world of honest nodes, each with a tracker, for parties to play in. It is
// not safe for concurrent use.
type Field struct {
	*sim.World
	seed     uint64
	rands    uint64 // that were handed out
	swarms   tracker.SwarmsConfig
	services map[*kademlia.Node]service
	naives   int         // lookups that there were
	seekers  []*sim.Host // who searches; nil: anybody
}

// service is what runs on a node.
type service struct {
	*tracker.Tracker
	peers *tracker.Swarms
}

// NewField returns a field of honest nodes that have joined each other and settled. swarms
// bounds what their trackers keep, but for its Rand and Shards.
func NewField(cfg sim.Config, swarms tracker.SwarmsConfig) *Field {
	f := &Field{seed: cfg.Seed, swarms: swarms, services: make(map[*kademlia.Node]service)}
	cfg.Setup = f.serve
	f.World = sim.Build(cfg, joinInterval, settleTime)
	return f
}

// rand returns the next random source of its own.
func (f *Field) rand() *rand.Rand {
	f.rands++
	return rand.New(rand.NewPCG(f.seed, 1<<32+f.rands))
}

// serve puts a tracker on n.
func (f *Field) serve(n *kademlia.Node) {
	cfg := f.swarms
	cfg.Rand, cfg.Shards = f.rand(), 1
	peers := tracker.NewSwarms(cfg, n.Clock().Now())
	f.services[n] = service{tracker.New([]*kademlia.Node{n}, tracker.Config{Store: peers, Swarms: cfg}), peers}
}

// Newcomer starts an honest node at addr that is not one of Hosts, and that joins through the
// given nodes alone.
func (f *Field) Newcomer(addr netip.AddrPort, bootstrap ...netip.AddrPort) *sim.Host {
	h := &sim.Host{Addr: addr}
	h.Net = f.Net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		h.Deliver(now, from, b, out)
	})
	var err error
	h.Node, err = kademlia.NewNode(kademlia.NodeConfig{
		Transport: h.Net, Clock: f.Clock, Rand: f.rand(),
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			f.Clock.AfterFunc(0, func() { done(bootstrap, nil) })
		},
	})
	if err != nil {
		panic(err)
	}
	f.serve(h.Node)
	h.Start()
	return h
}

// holds tells whether h has peers of ih.
func (f *Field) holds(h *sim.Host, ih krpc.ID) bool {
	seeds, others := f.services[h.Node].peers.Count(ih, f.Clock.Now())
	return seeds+others > 0
}

// holders returns the honest nodes that have peers of ih.
func (f *Field) holders(ih krpc.ID) (holders []*sim.Host) {
	for _, h := range f.Hosts {
		if !h.Down && f.holds(h, ih) {
			holders = append(holders, h)
		}
	}
	return holders
}

// SearchFrom has the searches that are measured from now on be made by these nodes.
func (f *Field) SearchFrom(hosts ...*sim.Host) { f.seekers = hosts }

// seeker draws a node that searches for ih, if possible one that has no peers of it itself.
func (f *Field) seeker(ih krpc.ID) *sim.Host {
	for tries := 0; ; tries++ {
		h := f.RandomHost()
		if len(f.seekers) > 0 {
			h = f.seekers[f.Rand.IntN(len(f.seekers))]
		}
		if !f.holds(h, ih) || tries == 100 {
			return h
		}
	}
}

// Targets draws n info-hashes.
func (f *Field) Targets(n int) []krpc.ID {
	ids := make([]krpc.ID, n)
	for i := range ids {
		ids[i] = krpc.RandomID(f.Rand)
	}
	return ids
}

// TableShare returns the share that those whom of picks have in the tables of the honest nodes:
// on average, and the most in one table.
func (f *Field) TableShare(of func(netip.AddrPort) bool) (mean, most float64) {
	for _, h := range f.Hosts {
		share := TableShare(h, of)
		mean += share / float64(len(f.Hosts))
		most = max(most, share)
	}
	return mean, most
}

// TableShare returns the share that those whom of picks have in the table of h.
func TableShare(h *sim.Host, of func(netip.AddrPort) bool) float64 {
	contacts := h.State().Contacts
	n := 0
	for _, c := range contacts {
		if of(c.Addr) {
			n++
		}
	}
	return float64(n) / float64(max(1, len(contacts)))
}

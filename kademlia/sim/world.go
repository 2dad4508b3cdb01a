// Package sim runs worlds of real nodes on a simulated network and measures
// them. A world repeats itself, datagram for datagram, for the same seed.
package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// start is the time at which every world begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Config describes a world.
type Config struct {
	Nodes int
	Seed  uint64
	K     int // 0: kademlia.DefaultK
	Alpha int // 0: kademlia.DefaultAlpha
	// AlphaFirst and Memory are as in kademlia.NodeConfig.
	AlphaFirst, Memory int
	IPv6               bool
	// Link is the network between the nodes while they join. Zero: round-trip
	// times as on the Internet, nothing lost.
	Link simnet.Link
	// Clock, if set, returns the clock of the node at addr, called for each before it starts:
	// world, or a simnet.HostClock on it.
	Clock func(world *simnet.Clock, addr netip.AddrPort) krpc.Clock
	// Setup, if set, is called for each node before it starts, to attach to it
	// what runs on the DHT.
	Setup func(*kademlia.Node)
	// Teardown, if set, is called for each node that is killed.
	Teardown func(*kademlia.Node)
}

// Host is one node of a world.
type Host struct {
	*kademlia.Node
	Addr netip.AddrPort
	Net  *simnet.Host
	Down bool // by Kill

	listed   bool // in World.byID
	listedAs krpc.ID
}

// World is a number of nodes on a network. It is not safe for concurrent use.
type World struct {
	Clock   *simnet.Clock
	Net     *simnet.Network
	Rand    *rand.Rand
	Hosts   []*Host
	cfg     Config
	byID    byID   // the nodes that are up
	grown   int    // addresses that there have ever been
	revived uint64 // times that a node was

	namesFailUntil time.Time
}

// New returns a world without nodes; Grow adds them.
func New(cfg Config) *World {
	w := &World{cfg: cfg, Clock: simnet.NewClock(start), Rand: rand.New(rand.NewPCG(cfg.Seed, 0))}
	if w.cfg.Link.Latency == nil {
		w.cfg.Link.Latency = simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, cfg.Seed)
	}
	w.Net = simnet.NewNetwork(w.Clock, rand.New(rand.NewPCG(cfg.Seed, 1)), w.cfg.Link)
	return w
}

// Build returns a world of cfg.Nodes nodes that have joined, one each interval,
// and then had time to settle.
func Build(cfg Config, interval, settle time.Duration) *World {
	w := New(cfg)
	for range cfg.Nodes {
		w.Grow()
		w.Clock.Run(interval)
	}
	w.Clock.Run(settle)
	return w
}

// BuildGrowing is Build for large worlds: each second so many nodes join for each that is there,
// rate being .05 for five in a hundred, and at least one. Time to join is logarithmic in the
// number of nodes, of which a constant share is joining at any moment. It panics unless rate
// is more than 0.
func BuildGrowing(cfg Config, rate float64, settle time.Duration) *World {
	if !(rate > 0) {
		panic("sim: BuildGrowing: want a rate above 0")
	}
	w := New(cfg)
	for n := range cfg.Nodes {
		w.Grow()
		w.Clock.Run(times(time.Second, min(1/(rate*float64(n+1)), 1)))
	}
	w.Clock.Run(settle)
	return w
}

// Link returns the network that the world was built with.
func (w *World) Link() simnet.Link { return w.cfg.Link }

// Grow adds a node that joins through up to three others.
func (w *World) Grow() *Host {
	h := w.place()
	h.Net = w.Net.Host(h.Addr, nil)
	w.start(h)
	return h
}

// GrowBehindNAT adds a node that can be reached only as a NAT of that kind lets
// it be.
func (w *World) GrowBehindNAT(kind simnet.NATKind) *Host {
	h := w.place()
	inside := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), simnet.Port)
	h.Net = w.Net.NATHost(h.Addr, inside, kind, simnet.DefaultNATLifetime, nil)
	w.start(h)
	return h
}

// place returns a host at the next address.
func (w *World) place() *Host { return &Host{Addr: w.nextAddr()} }

func (w *World) nextAddr() netip.AddrPort {
	i := w.grown
	w.grown++
	if w.cfg.IPv6 {
		return simnet.Addr6(i)
	}
	return simnet.Addr(i)
}

// start puts a new node on h and lets it join.
func (w *World) start(h *Host) {
	w.install(h, kademlia.NodeState{}, rand.New(rand.NewPCG(w.cfg.Seed, uint64(w.grown)+1)))
	w.Hosts = append(w.Hosts, h)
	h.Start()
}

// install puts a node on h, and has what arrives there delivered to it.
func (w *World) install(h *Host, state kademlia.NodeState, rng *rand.Rand) {
	cfg := kademlia.NodeConfig{
		Transport: h.Net,
		Clock:     w.Clock,
		Rand:      rng,
		K:         w.cfg.K,
		Alpha:     w.cfg.Alpha,
		State:     state,
		Joined:    func(error) { w.hasJoined(h) },

		AlphaFirst: w.cfg.AlphaFirst,
		Memory:     w.cfg.Memory,
	}
	if w.cfg.Clock != nil {
		cfg.Clock = w.cfg.Clock(w.Clock, h.Addr)
		h.Net.SetClock(cfg.Clock)
	}
	if len(w.Hosts) > 0 {
		cfg.Bootstrap = w.bootstrap
	}
	var err error
	if h.Node, err = kademlia.NewNode(cfg); err != nil {
		panic(err)
	}
	h.Net.SetDeliver(h.Node.Deliver)
	if w.cfg.Setup != nil {
		w.cfg.Setup(h.Node)
	}
	w.byID.add(h)
}

// bootstrap names three random nodes that are up.
func (w *World) bootstrap(done func([]netip.AddrPort, error)) {
	if w.Clock.Now().Before(w.namesFailUntil) {
		w.Clock.AfterFunc(0, func() { done(nil, errNames) })
		return
	}
	var addrs []netip.AddrPort
	for range 3 {
		addrs = append(addrs, w.RandomHost().Addr)
	}
	w.Clock.AfterFunc(0, func() { done(addrs, nil) })
}

// RandomHost returns a node that is up.
func (w *World) RandomHost() *Host {
	for {
		if h := w.Hosts[w.Rand.IntN(len(w.Hosts))]; !h.Down {
			return h
		}
	}
}

// Kill ends a node without a word to anybody.
func (w *World) Kill(h *Host) {
	h.Down = true
	w.byID.remove(h)
	h.Net.Close()
	if w.cfg.Teardown != nil {
		w.cfg.Teardown(h.Node)
	}
	h.Close()
}

// KillShare ends a random share of the nodes.
func (w *World) KillShare(share float64) {
	for _, h := range w.Hosts {
		if !h.Down && w.Rand.Float64() < share {
			w.Kill(h)
		}
	}
}

// Lookup runs a lookup for the nodes closest to target from h to its end.
func (w *World) Lookup(h *Host, target krpc.ID) kademlia.LookupResult {
	var res kademlia.LookupResult
	ended := false
	h.Lookup(kademlia.Lookup{Target: target, Kind: kademlia.LookupFindNode, Done: func(r kademlia.LookupResult) {
		res, ended = r, true
	}})
	w.Clock.RunUntil(func() bool { return ended }, time.Minute)
	return res
}

package kademlia

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kadnode/kadnode/krpc"
)

// The defaults of the Kademlia parameters on the mainline DHT.
const (
	DefaultK     = 8
	DefaultAlpha = 3
	// DefaultAlphaFirst takes a third off the median time to the first peer, and two thirds
	// off that of the slowest lookups, for 40 % more queries (kademlia/sim/mainline, with
	// 1 000 000 nodes).
	DefaultAlphaFirst = 8
	// MaxK is the k of the paper, and the most. Beyond 16, jech/dht, and so
	// Transmission, ignores our lists of nodes.
	MaxK = 20
)

// HandlerFunc answers the queries of one method at node n. Its duties are those
// of krpc.Handler; rq.Reply already holds n's id.
type HandlerFunc func(n *Node, rq *krpc.Request) error

// NodeConfig configures a Node.
type NodeConfig struct {
	// Required.
	Transport krpc.Transport
	Clock     krpc.Clock
	// Rand is the source of ids, secrets and jitter. The node is its only user
	// from then on. It must be unpredictable, except in a simulation.
	Rand *rand.Rand

	// Kademlia. Zero means the default.
	K     int // size of a bucket and of a lookup's result, 1 to MaxK
	Alpha int // parallel queries of a lookup, at least 1
	// AlphaFirst takes the place of Alpha until a lookup that is Wide has found a first
	// value. It is Alpha at least. 0: DefaultAlphaFirst.
	AlphaFirst int
	// Memory is how many contacts are remembered beside the table, for lookups to start
	// from: some 60 bytes each, once there are so many. 0: DefaultMemory; negative: none.
	Memory int

	// Bootstrap finds the addresses to join through. It returns at once and calls
	// done later, once, from any goroutine but not before it has returned. nil:
	// the node waits to be found.
	Bootstrap func(done func(addrs []netip.AddrPort, err error))
	// Joined is told the outcome of each attempt to join; nil: nobody is. It may
	// not block.
	Joined func(err error)
	// Alarmed is told of keys around which more nodes have gathered than chance explains,
	// each once an hour at most, and of one key in ten seconds; nil: nobody is. It may not block.
	Alarmed func(Alarm)
	// State is what an earlier run saved. The zero NodeState is a new node.
	State NodeState
	// Siblings are the nodes of the same program that were made before, all of them,
	// and not started yet. They and the new one keep their ids far apart (BEP 45), and
	// help the other family (BEP 32).
	Siblings []*Node

	AllowLocal bool // loopback and private addresses are nodes like others
	ReadOnly   bool // ask, but do not answer (BEP 43)

	// For the endpoint; see krpc.EndpointConfig.
	Limiter     *krpc.Limiter
	Proven      *krpc.Proven
	Pacer       *krpc.Pacer
	Remotes     *krpc.Remotes
	Blocklist   *krpc.Blocklist
	Version     string
	HardTimeout time.Duration
}

func (c *NodeConfig) withDefaults() (NodeConfig, error) {
	d := *c
	if d.K == 0 {
		d.K = DefaultK
	}
	if d.Alpha == 0 {
		d.Alpha = DefaultAlpha
	}
	if d.AlphaFirst == 0 {
		d.AlphaFirst = DefaultAlphaFirst
	}
	if d.Memory == 0 {
		d.Memory = DefaultMemory
	}
	switch {
	case d.Transport == nil || d.Clock == nil || d.Rand == nil:
		return d, errors.New("kademlia: node: Transport, Clock and Rand are required")
	case d.K < 1 || d.K > MaxK:
		return d, fmt.Errorf("kademlia: node: k is %d, want 1 to %d", d.K, MaxK)
	case d.Alpha < 1:
		return d, fmt.Errorf("kademlia: node: alpha is %d, want at least 1", d.Alpha)
	case d.AlphaFirst < 1:
		return d, fmt.Errorf("kademlia: node: first alpha is %d, want at least 1", d.AlphaFirst)
	}
	d.AlphaFirst = max(d.AlphaFirst, d.Alpha)
	return d, nil
}

// Node is a DHT node at one address. It is passive and safe for concurrent use;
// see the package comment.
type Node struct {
	endpoint  krpc.Endpoint
	cfg       NodeConfig
	v6        bool
	handlers  [krpc.NumMethods]HandlerFunc // fixed once started
	siblings  []*Node                      // of the same program; fixed once started
	onContact []func(krpc.NodeInfo)        // are told of new contacts; fixed once started
	tokens    tokens
	view      atomic.Pointer[view]
	counters  counters

	mu          sync.Mutex // guards what follows
	rng         *rand.Rand
	table       table
	size        netSize
	sample      sizeSample
	alarms      *simplelru.LRU[krpc.ID, time.Time] // keys with a crowd around them, by when that was seen; nil until one is
	alarmTold   time.Time                          // when NodeConfig.Alarmed was last called
	suspicion   *suspicion                         // that is waiting for a survey; may be nil
	surveyed    time.Time                          // when survey was last called
	votes       addrVotes
	ids         []AddrID // by external address, the current one last
	lookups     []*traversal
	recent      *simplelru.LRU[krpc.ID, recent] // how lookups have ended lately; nil until one has
	verifying   []newcomer                      // at most maxVerifying
	restoring   int                             // contacts of an earlier run that were not heard of yet
	timers      []krpc.Timer
	joining     bool
	joined      bool
	refreshed   bool    // all buckets, once
	joinedAs    krpc.ID // the id that was last looked up
	attempts    int     // to join, since one succeeded
	joinTimer   krpc.Timer
	whenJoined  []*func()
	pingTimer   krpc.Timer
	tokenTimer  krpc.Timer
	verifyTimer krpc.Timer // for who is next of verifying; nil until somebody was
	started     bool
	closed      bool
	// effects are the sends and callbacks to be made once mu is free, in order.
	// The goroutine that finds draining unset makes them all.
	effects  []func()
	draining bool
}

// NewNode returns a node that answers what is delivered to it, and joins the
// network once started.
func NewNode(cfg NodeConfig) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, rng: cfg.Rand, siblings: slices.Clone(cfg.Siblings)}
	local := cfg.Transport.LocalAddr().Addr()
	n.v6 = local.Is6()
	n.tokens.restore(cfg.State.Tokens, cfg.Clock.Now(), n.rng)
	n.table = table{self: n.firstID(local), k: cfg.K, start: cfg.Clock.Now(), memory: newMemory(cfg.Memory)}
	n.restoreFresh()
	n.view.Store(n.table.view())
	for _, s := range n.siblings {
		s.siblings = append(s.siblings, n)
	}
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(n.rng.Uint32())
	}
	n.endpoint.Init(krpc.EndpointConfig{
		Transport: cfg.Transport, Clock: cfg.Clock, Handler: n, Rand: rand.New(rand.NewChaCha8(seed)),
		Limiter: cfg.Limiter, Proven: cfg.Proven, Pacer: cfg.Pacer, Remotes: cfg.Remotes, Blocklist: cfg.Blocklist,
		Version: cfg.Version, ReadOnly: cfg.ReadOnly, HardTimeout: cfg.HardTimeout,
	})
	return n, nil
}

// Handle lets h answer the queries of method m. It must be called before Start
// and before the first datagram is delivered.
func (n *Node) Handle(m krpc.Method, h HandlerFunc) { n.handlers[m] = h }

// OnContact has f called for every node that is new in the table, after those that were
// given before. f may not block. OnContact must be called before Start.
func (n *Node) OnContact(f func(krpc.NodeInfo)) { n.onContact = append(n.onContact, f) }

// Closest returns the up to count contacts closest to target that answer, closest
// first, from the table alone. It takes no lock. count is at most MaxK.
func (n *Node) Closest(target krpc.ID, count int) []krpc.NodeInfo {
	return n.view.Load().infos(target, count)
}

// IsNear tells whether one of the k contacts closest to target is at addr. It takes no
// lock and allocates nothing.
func (n *Node) IsNear(addr netip.AddrPort, target krpc.ID) bool {
	var s selection
	n.view.Load().closest(&s, target, n.cfg.K)
	for _, b := range s.best[:s.n] {
		if b.c.at(addr) {
			return true
		}
	}
	return false
}

// Deliver takes one datagram; it is the krpc.PacketFunc of the transport.
func (n *Node) Deliver(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
	n.endpoint.Deliver(now, from, b, out)
}

// ID returns the node's id. It changes when the external address does (BEP 42).
func (n *Node) ID() krpc.ID { return n.view.Load().self }

// LocalAddr returns the address that the node listens on.
func (n *Node) LocalAddr() netip.AddrPort { return n.cfg.Transport.LocalAddr() }

// Is6 tells whether the node is one of the IPv6 DHT (BEP 32).
func (n *Node) Is6() bool { return n.v6 }

// K returns the size of a lookup's result.
func (n *Node) K() int { return n.cfg.K }

// ReadOnly tells whether the node asks, but does not answer (BEP 43).
func (n *Node) ReadOnly() bool { return n.cfg.ReadOnly }

// Clock returns the node's clock.
func (n *Node) Clock() krpc.Clock { return n.cfg.Clock }

// Joined tells whether the node has found others since it started, or has
// nobody to find.
func (n *Node) Joined() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hasJoined()
}

func (n *Node) hasJoined() bool {
	return n.started && !n.closed && (n.joined || n.cfg.Bootstrap == nil)
}

// WhenJoined calls f once, when the node has joined or was closed, unless stop is
// called before. f may not block.
func (n *Node) WhenJoined(f func()) (stop func()) {
	n.mu.Lock()
	defer n.unlock()
	if n.hasJoined() || n.closed {
		n.later(f)
		return func() {}
	}
	w := &f
	n.whenJoined = append(n.whenJoined, w)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.whenJoined = slices.DeleteFunc(n.whenJoined, func(o *func()) bool { return o == w })
	}
}

// callWhenJoined makes the calls that WhenJoined was asked for.
func (n *Node) callWhenJoined() {
	for _, f := range n.whenJoined {
		n.later(*f)
	}
	n.whenJoined = nil
}

// Usable tells whether a peer or node at a can be believed to exist, and is to be
// dealt with: not at a reserved address, port 0 or an address on the blocklist, and
// at a local one only if the node allows them.
func (n *Node) Usable(a netip.AddrPort) bool {
	return usable(a, n.cfg.AllowLocal) && !n.cfg.Blocklist.Contains(a.Addr())
}

// DropBlocked removes contacts that are on the blocklist, after that has changed.
func (n *Node) DropBlocked() {
	n.mu.Lock()
	defer n.unlock()
	n.table.removeIf(n.cfg.Blocklist.Contains)
}

// Start begins to join the network and to keep the table alive.
func (n *Node) Start() {
	n.mu.Lock()
	defer n.unlock()
	if n.started || n.closed {
		return
	}
	n.started = true
	n.startUpkeep()
	n.verifyRestored()
	n.join()
}

// Close ends all lookups and queries; their callbacks are made before it returns,
// unless another goroutine is making them. It does not close the transport.
func (n *Node) Close() {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return
	}
	n.closed = true
	n.callWhenJoined()
	for _, t := range n.timers {
		t.Stop()
	}
	for _, t := range slices.Clone(n.lookups) {
		t.finish(krpc.ErrClosed)
	}
	n.unlock()
	n.endpoint.Close()
}

// keptEffects is the number of effects that a node keeps the room for.
const keptEffects = 8

// unlock publishes the table, frees mu and makes the effects that were queued
// under it.
func (n *Node) unlock() {
	n.publish()
	if n.draining {
		n.mu.Unlock()
		return
	}
	n.draining = true
	for len(n.effects) > 0 {
		effects := n.effects
		n.effects = nil
		n.mu.Unlock()
		for _, f := range effects {
			f()
		}
		n.mu.Lock()
		if n.effects == nil && cap(effects) <= keptEffects {
			clear(effects)
			n.effects = effects[:0]
		}
	}
	n.draining = false
	n.mu.Unlock()
}

// publish makes the view that queries are answered from current.
func (n *Node) publish() *view {
	if n.table.dirty {
		before := n.view.Load().size
		n.view.Store(n.table.view())
		if before > 0 && n.table.size() == 0 {
			n.deserted()
		}
	}
	return n.view.Load()
}

// later queues f to be called once mu is free.
func (n *Node) later(f func()) { n.effects = append(n.effects, f) }

// now returns the time. Reading the clock takes no lock.
func (n *Node) now() time.Time { return n.cfg.Clock.Now() }

// after lets f run, under mu, d from now unless the node is closed by then.
func (n *Node) after(d time.Duration, f func()) krpc.Timer {
	return n.cfg.Clock.AfterFunc(d, func() {
		n.mu.Lock()
		defer n.unlock()
		if !n.closed {
			f()
		}
	})
}

// every lets f run, under mu, at intervals of d give or take a quarter, and for
// the first time at any moment up to d: nodes that were started together must not
// stay in step.
func (n *Node) every(d time.Duration, f func()) {
	i := len(n.timers)
	n.timers = append(n.timers, nil)
	n.timers[i] = n.after(time.Duration(n.rng.Int64N(int64(d))), func() {
		f()
		n.timers[i].Reset(n.jitter(d))
	})
}

// jitter returns d give or take a quarter.
func (n *Node) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(n.rng.Int64N(int64(d/2)+1))
}

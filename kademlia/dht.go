package kademlia

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

// DefaultPort is the port of the mainline DHT.
const DefaultPort = 6881

// Config configures a DHT. The zero Config is a node on all addresses of the
// host that knows nobody and saves nothing.
type Config struct {
	// Listen are the addresses to serve, one node each (BEP 32, BEP 45). None:
	// port 6881 of all IPv4 addresses and, where the host has IPv6, of all IPv6
	// ones. Port 0 lets the system choose.
	Listen []netip.AddrPort
	// Inherit are UDP sockets that are bound already, by systemd or by the process that
	// this one succeeds (DHT.Files): several with the same address are its Readers. An
	// address of Listen that is one of theirs is not bound, but served from there;
	// port 0 is none. One that Listen does not name is an error, but an empty Listen
	// stands for the inherited ones alone: a unit for systemd names the addresses, and
	// Listen need not repeat them. New duplicates the files, which the caller closes.
	Inherit []*os.File
	// Bootstrap are the nodes to join through, as host:port.
	Bootstrap []string
	// StateFile keeps ids, contacts and tokens over a restart; empty: they are lost.
	// Whoever can read it can make tokens.
	StateFile string
	// Commit is called before replies leave, once a batch, to write down what they
	// acknowledge; see udp.Config.BeforeSend. It may block, which is felt by Close, too.
	// nil: nothing is called.
	Commit func()

	K, Alpha, AlphaFirst, Memory int // see NodeConfig

	// AllowLocal accepts loopback and private addresses as nodes and peers. It is
	// implied for a node that listens on such an address itself.
	AllowLocal bool
	ReadOnly   bool // ask, but do not answer (BEP 43)

	// RateLimit is how many queries a second are answered for one IPv4 address
	// or IPv6 /64, with bursts of ten times as many. 0: krpc.DefaultSourceRate;
	// negative: any number.
	RateLimit float64
	// SendRate is how many own queries are sent a second. 0: krpc.DefaultSendRate;
	// negative: any number.
	SendRate float64
	// SendRemotes is how many addresses a second are sent queries that were not lately,
	// as far as nobody waits for these. 0: krpc.DefaultSendRemotes; negative: any number.
	SendRemotes float64
	// Blocklist holds the addresses to have nothing to do with; nil: none.
	Blocklist *krpc.Blocklist
	// Readers is the number of sockets, and so of cores, for each address. 0: one.
	Readers int

	// Joined is told the outcome of each attempt of a node to join: nil once it has
	// found its place. It may not block. nil: nobody is told.
	Joined func(n *Node, err error)

	Version string       // "v" in messages: two letters of the program, two bytes of its version
	Log     *slog.Logger // nil: slog.Default()
	// Resolve looks up the addresses of a bootstrap host. nil: the system's way.
	Resolve LookupFunc
}

// DHT is the nodes of one program: it listens for all of them, resolves their
// bootstrap hosts, lets one family help the other, and keeps their state. All
// methods are safe for concurrent use.
type DHT struct {
	cfg     Config
	log     *slog.Logger
	sockets []*udp.Socket
	nodes   []*Node

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup

	restored map[netip.AddrPort]NodeState
	save     chan struct{}   // asks keepSaved for a write
	saveNow  chan chan error // the same, and that its outcome be sent
	lastSave chan bool       // ends keepSaved, after one more write if true
	saved    chan struct{}   // closed when keepSaved has ended, and saveErr is set
	saveErr  error

	mu      sync.Mutex // guards what follows
	outages outages
	saving  bool // keepSaved has been started, and not been told to end
	closed  bool
}

// New binds the addresses and restores the state. Nothing is answered until
// Start. A state file that cannot be read is set aside, not lost.
func New(cfg Config) (*DHT, error) {
	d := &DHT{cfg: cfg, log: cfg.Log, outages: newOutages()}
	d.save, d.saveNow = make(chan struct{}, 1), make(chan chan error)
	d.lastSave, d.saved = make(chan bool, 1), make(chan struct{})
	if d.log == nil {
		d.log = slog.Default()
	}
	for _, host := range cfg.Bootstrap {
		if _, _, err := splitHostPort(host); err != nil {
			return nil, err
		}
	}
	var err error
	if d.restored, err = d.restore(); err != nil {
		return nil, err
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.listen(); err != nil {
		d.cancel()
		return nil, err
	}
	for _, s := range d.sockets {
		n, err := d.newNode(s)
		if err != nil {
			d.closeSockets()
			d.cancel()
			return nil, err
		}
		d.nodes = append(d.nodes, n)
	}
	return d, nil
}

func (d *DHT) newNode(s *udp.Socket) (*Node, error) {
	local := s.LocalAddr()
	rng := secureRand()
	cfg := NodeConfig{
		Transport: s, Clock: krpc.SystemClock{}, Rand: rng,
		K: d.cfg.K, Alpha: d.cfg.Alpha, AlphaFirst: d.cfg.AlphaFirst, Memory: d.cfg.Memory,
		AllowLocal: d.cfg.AllowLocal || krpc.Class(local.Addr()) == krpc.AddrClassLocal,
		ReadOnly:   d.cfg.ReadOnly,
		State:      d.restored[local],
		Siblings:   d.nodes,
		Blocklist:  d.cfg.Blocklist,
		Version:    d.cfg.Version,
	}
	cfg.Limiter, cfg.Proven = newLimiter(d.cfg.RateLimit, rng), krpc.NewProven(krpc.DefaultProvenCells, rng)
	rate := orDefault(d.cfg.SendRate, krpc.DefaultSendRate)
	cfg.Pacer = krpc.NewPacer(rate, max(1, int(rate)))
	cfg.Remotes = krpc.NewRemotes(orDefault(d.cfg.SendRemotes, krpc.DefaultSendRemotes))
	if len(d.cfg.Bootstrap) > 0 {
		cfg.Bootstrap = func(done func([]netip.AddrPort, error)) {
			d.goWork(func() {
				addrs, err := Resolve(d.ctx, d.cfg.Bootstrap, d.cfg.Resolve)
				done(slices.DeleteFunc(addrs, func(a netip.AddrPort) bool { return a == local }), err)
			})
		}
	}
	var n *Node
	cfg.Joined = func(err error) {
		d.report(n, err)
		if d.cfg.Joined != nil {
			d.cfg.Joined(n, err)
		}
	}
	cfg.Alarmed = func(a Alarm) { d.reportAlarm(n, a) }
	n, err := NewNode(cfg)
	return n, err
}

func newLimiter(rate float64, rng *rand.Rand) *krpc.Limiter {
	rate = orDefault(rate, krpc.DefaultSourceRate)
	return krpc.NewLimiter(rate, max(1, int(10*rate)), krpc.DefaultLimiterCells, rng)
}

// SetRateLimit changes Config.RateLimit.
func (d *DHT) SetRateLimit(rate float64) {
	for _, n := range d.nodes {
		n.endpoint.SetLimiter(newLimiter(rate, secureRand()))
	}
}

func orDefault(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return v
}

// secureRand returns an unpredictable source.
func secureRand() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	return rand.New(rand.NewChaCha8(seed))
}

// goWork runs f on a goroutine that Close waits for, unless Close has begun.
func (d *DHT) goWork(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.workers.Go(f)
	}
}

// Handle lets h answer the queries of method m at every node. It must be called
// before Start.
func (d *DHT) Handle(m krpc.Method, h HandlerFunc) {
	for _, n := range d.nodes {
		n.Handle(m, h)
	}
}

// Start begins to answer and to join the network. It may be called once.
func (d *DHT) Start() {
	for i, n := range d.nodes {
		d.sockets[i].Serve(n.Deliver)
	}
	for _, n := range d.nodes {
		n.Start()
	}
	d.startSaving()
}

// Nodes returns the nodes, in the order of Config.Listen.
func (d *DHT) Nodes() []*Node { return d.nodes }

// SocketStats returns the counters of the sockets, in the order of Nodes.
func (d *DHT) SocketStats() []udp.Stats {
	out := make([]udp.Stats, len(d.sockets))
	for i, s := range d.sockets {
		out[i] = s.Stats()
	}
	return out
}

// Ready tells whether the DHT answers and has found others, or has nobody to
// find: true once any of its nodes has joined.
func (d *DHT) Ready() bool { return AnyJoined(d.nodes) }

// report logs the outcome of an attempt to join if it is news.
func (d *DHT) report(n *Node, err error) {
	if err == nil {
		d.saveSoon() // Who is killed before the first interval ends keeps his id.
	}
	s := n.Stats()
	if err == nil && s.Nodes() == 0 {
		return // It has nobody to join.
	}
	news, level := d.noteJoined(n, err)
	switch news {
	case allLost:
		d.log.Warn("cannot join the DHT yet; serving, and trying again", "bootstrap", d.cfg.Bootstrap, "err", err)
	case oneLost:
		d.log.Log(context.Background(), level, "one of the nodes cannot join the DHT yet; serving, and trying again", "listen", n.LocalAddr(), "err", err)
	case joined:
		d.log.Info("joined the DHT", "listen", n.LocalAddr(), "id", s.ID, "contacts", s.Nodes())
	}
}

// noteJoined tells what news the outcome of an attempt to join is, and how severe an
// outage of one node: a host often has no way out for IPv6, and who listens on all its
// addresses has not asked for one.
func (d *DHT) noteJoined(n *Node, err error) (joinNews, slog.Level) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return noNews, 0
	}
	news, level := d.outages.note(n, err, len(d.nodes)), slog.LevelWarn
	if n.LocalAddr().Addr().IsUnspecified() && !d.outages.nodes[n].found {
		level = slog.LevelInfo
	}
	return news, level
}

// DropBlocked removes contacts that are on the blocklist from all tables, after that
// has changed.
func (d *DHT) DropBlocked() {
	for _, n := range d.nodes {
		n.DropBlocked()
	}
}

// Traverse runs a lookup on every node at once and waits for all. lookup returns
// what to look up at a node; the callbacks come one at a time. The results are in the
// order of Nodes. When ctx ends, the lookups are stopped, and their results say so.
func (d *DHT) Traverse(ctx context.Context, lookup func(*Node) Lookup) []LookupResult {
	var all Lookups
	ended := make(chan struct{})
	all.Start(d.nodes, func(i int) Lookup { return lookup(d.nodes[i]) }, func() { close(ended) })
	defer context.AfterFunc(ctx, all.Stop)()
	<-ended
	return all.Results
}

// FindNode looks up the nodes closest to target, at every node of d.
func (d *DHT) FindNode(ctx context.Context, target krpc.ID) []LookupResult {
	return d.Traverse(ctx, func(*Node) Lookup { return Lookup{Target: target, Kind: LookupFindNode} })
}

// Ping asks the node at addr for its id, from a node of its family.
func (d *DHT) Ping(ctx context.Context, addr netip.AddrPort) (PingResult, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	for _, n := range d.nodes {
		if n.v6 != addr.Addr().Is6() {
			continue
		}
		type answer struct {
			res PingResult
			err error
		}
		answers := make(chan answer, 1)
		n.Ping(addr, func(res PingResult, err error) { answers <- answer{res, err} })
		select {
		case a := <-answers:
			return a.res, a.err
		case <-ctx.Done():
			return PingResult{}, ctx.Err()
		}
	}
	return PingResult{}, fmt.Errorf("kademlia: ping %v: no node of its address family", addr)
}

// Close answers what has been read, ends what is under way, closes the sockets and
// then saves the state. It returns when all goroutines have ended, but waits no longer
// than a second for the disk. To close again does nothing.
func (d *DHT) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	if again {
		return nil
	}
	d.stopReading()
	for _, n := range d.nodes {
		n.Close()
	}
	d.cancel()
	err := d.closeSockets()
	d.workers.Wait()
	return errors.Join(d.endSaving(true), err)
}

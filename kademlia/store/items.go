package store

import (
	"cmp"
	crand "crypto/rand"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// Config configures an Items. The zero Config is a good one.
type Config struct {
	MaxBytes     int64 // memory of the items kept for others, of all nodes; 0: 64 MiB
	MaxPerIP     int   // items kept for one address by each node; 0: 1024
	MaxPerSubnet int   // items kept for one /24 or /64 by each node; 0: 4096

	MaxKept      int           // items that Keep accepts; 0: 10 000
	KeepInterval time.Duration // between two puts of one of these; 0: 1 hour, which is the most

	// Journal has what is kept, for others and by Keep, outlive the program. New attaches
	// TagItems and TagKept to it; it is to be loaded and started before the nodes, Start and
	// Keep. Who answers packets commits it before the replies leave, Keep and Unkeep do so
	// themselves. nil: a restart forgets.
	Journal *journal.Log

	// Rand is used only while New runs. nil, which is not for simulations: an
	// unpredictable source.
	Rand *rand.Rand

	Log *slog.Logger // nil: slog.Default()
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxBytes, 64<<20)
	setDefault(&c.MaxPerIP, 1024)
	setDefault(&c.MaxPerSubnet, 4096)
	setDefault(&c.MaxKept, 10_000)
	setDefault(&c.KeepInterval, time.Hour)
	c.KeepInterval = min(c.KeepInterval, Life/2)
	if c.Rand == nil {
		var seed [32]byte
		crand.Read(seed[:]) // never fails
		c.Rand = rand.New(rand.NewChaCha8(seed))
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func setDefault[T cmp.Ordered](field *T, value T) {
	var zero T
	if *field <= zero {
		*field = value
	}
}

// Items keeps the items of BEP 44 at the DHT nodes of one program.
//
// Each node has a shelf of its own with an equal part of Config.MaxBytes; a get is
// answered from any. An item lives for Life after its publisher has put it. A full
// shelf keeps the items nearest to its node. See docs/protocol.md for the rules.
type Items struct {
	nodes     []*kademlia.Node
	clock     krpc.Clock
	limits    limits
	shelves   []shelf      // of nodes, in their order
	journal   *journal.Log // nil: nothing outlives the program
	state     heldState    // has shelves only with a journal
	counters  counters
	forgeries forgeries
	weighing  sync.Mutex // while a put at one of several nodes looks at all shelves

	publisher    publisher
	kept         keptState      // of publisher
	republishers []*republisher // of nodes, in their order
	handovers    []*handovers

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand // of the waits of Update
	expiry  krpc.Timer // nil until started
	started bool
	closed  bool
}

// New returns an Items that answers get and put at each of nodes, of which there is at
// least one, and which share a clock. It must be called before they start.
func New(nodes []*kademlia.Node, cfg Config) *Items {
	cfg = cfg.withDefaults()
	s := &Items{
		nodes:   nodes,
		clock:   nodes[0].Clock(),
		rng:     rand.New(rand.NewPCG(cfg.Rand.Uint64(), cfg.Rand.Uint64())),
		journal: cfg.Journal,
		limits: limits{
			bytes:     int(min(cfg.MaxBytes/int64(len(nodes)), math.MaxInt)),
			perIP:     cfg.MaxPerIP,
			perSubnet: cfg.MaxPerSubnet,
			k:         nodes[0].K(),
		},
	}
	s.state = heldState{nodes: nodes, log: cfg.Log}
	s.forgeries.seed = [2]uint64{cfg.Rand.Uint64(), cfg.Rand.Uint64()}
	for _, n := range nodes {
		mem := newMemory(&s.limits, cfg.Rand)
		own := shelf(mem)
		if cfg.Journal != nil {
			d := newDurable(mem, cfg.Journal, n.LocalAddr())
			s.state.shelves, own = append(s.state.shelves, d), d
		}
		s.shelves = append(s.shelves, own)
		n.Handle(krpc.MethodGet, func(n *kademlia.Node, rq *krpc.Request) error { return s.serveGet(n, rq) })
		n.Handle(krpc.MethodPut, func(n *kademlia.Node, rq *krpc.Request) error { return s.servePut(n, own, rq) })
		s.republishers = append(s.republishers, &republisher{items: s, n: n, shelf: own})
		h := &handovers{n: n, shelf: own, clock: s.clock, counters: &s.counters}
		h.rng.Seed(cfg.Rand.Uint64(), cfg.Rand.Uint64())
		n.OnContact(h.welcome)
		s.handovers = append(s.handovers, h)
	}
	s.publisher.init(s, cfg)
	cfg.Journal.Attach(TagItems, &s.state)
	s.kept = keptState{publisher: &s.publisher, max: cfg.MaxKept}
	cfg.Journal.Attach(TagKept, &s.kept)
	return s
}

// Start applies the bounds to what Config.Journal has brought back, of which it logs how many
// kept items Config.MaxKept has left out. It begins to give back the memory of items that have
// expired, to put what is kept, and to republish what is held. To start again does nothing.
func (s *Items) Start() {
	if s.begin() {
		s.kept.report()
	}
}

// begin is Start without its log; it tells whether it did something.
func (s *Items) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return false
	}
	s.started = true
	s.state.settle(s.clock.Now())
	s.expiry = s.clock.AfterFunc(Life, s.expire)
	s.publisher.Start()
	for _, r := range s.republishers {
		r.start()
	}
	return true
}

// Close ends what Start began, puts of kept items included. What is held is served, and
// what is being republished or handed over goes on, for as long as the nodes answer. To close again does nothing.
func (s *Items) Close() {
	s.mu.Lock()
	s.closed = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.mu.Unlock()
	s.publisher.Close()
	for i := range s.nodes {
		s.republishers[i].close()
		s.handovers[i].close()
	}
}

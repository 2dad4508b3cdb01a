package tracker

import (
	crand "crypto/rand"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// Config configures a Tracker. The zero Config is a good one.
type Config struct {
	// Store keeps the peers that are announced here. nil: a Swarms of its own and, with a
	// Journal, a Durable.
	Store Store
	// Swarms bounds that one. Its Rand also seeds the tracker's own randomness, whatever the
	// store; nil, which is not for simulations: an unpredictable source.
	Swarms SwarmsConfig
	// Journal keeps what is tracked over a restart, under TagTracked, and unless there is a
	// Store the peers, under TagPeers: New attaches them. It is loaded and started before
	// anything is tracked and the nodes start. nil: nothing is kept.
	Journal *journal.Log

	// MaxTracked bounds the info-hashes that Track accepts. 0: 100 000.
	MaxTracked int
	// AnnounceInterval is the time between two announces of a tracked info-hash.
	// Most nodes forget a peer after 30 to 45 minutes. 0: 15 minutes.
	AnnounceInterval time.Duration
	// SampleInterval is for how long a full sample of the info-hashes is served
	// before there is another one (BEP 51). 0: 6 hours, which is also the most.
	SampleInterval time.Duration

	Log *slog.Logger // nil: slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Swarms.Rand == nil {
		var seed [32]byte
		crand.Read(seed[:]) // never fails
		c.Swarms.Rand = rand.New(rand.NewChaCha8(seed))
	}
	setDefault(&c.MaxTracked, 100_000)
	setDefault(&c.AnnounceInterval, 15*time.Minute)
	setDefault(&c.SampleInterval, maxSampleInterval)
	c.SampleInterval = min(c.SampleInterval, maxSampleInterval)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Tracker is the distributed tracker on the DHT nodes of one program: it keeps
// the peers that are announced to them, finds peers, and announces. It is passive
// like the nodes, and safe for concurrent use.
type Tracker struct {
	nodes     []*kademlia.Node
	clock     krpc.Clock
	store     Store
	announcer *announcer
	tracked   trackedState
	log       *slog.Logger
	sampler   hashSampler
	counters  counters

	mu      sync.Mutex // guards what follows
	expiry  krpc.Timer // nil until started
	started bool
	closed  bool
}

type counters struct {
	announces, announcesFailed       atomic.Uint64
	tokensWithheld, announcesRefused atomic.Uint64
	scrapes                          atomic.Uint64
}

// New returns a tracker that answers get_peers, announce_peer and
// sample_infohashes at each of nodes, of which there is at least one, and which
// share a clock. It must be called before they start.
func New(nodes []*kademlia.Node, cfg Config) *Tracker {
	cfg = cfg.withDefaults()
	t := &Tracker{nodes: nodes, clock: nodes[0].Clock(), log: cfg.Log}
	now := t.clock.Now()
	t.store = cfg.Store
	if t.store == nil {
		t.store = newStore(cfg, now)
	}
	t.announcer = newAnnouncer(t, cfg)
	t.tracked = trackedState{announcer: t.announcer, log: cfg.Journal}
	cfg.Journal.Attach(TagTracked, &t.tracked)
	t.sampler.init(t.store, cfg.SampleInterval, cfg.Swarms.Rand, now)
	for _, n := range nodes {
		n.Handle(krpc.MethodGetPeers, t.serveGetPeers)
		n.Handle(krpc.MethodAnnouncePeer, t.serveAnnouncePeer)
		n.Handle(krpc.MethodSampleInfohashes, t.serveSampleInfohashes)
	}
	return t
}

func newStore(cfg Config, now time.Time) Store {
	mem := NewSwarms(cfg.Swarms, now)
	if cfg.Journal == nil {
		return mem
	}
	return NewDurable(mem, cfg.Journal)
}

// Start begins to forget peers that have expired, and to announce what is
// tracked. It logs how many info-hashes Config.MaxTracked has left out of what Config.Journal
// has brought back. To start again does nothing.
func (t *Tracker) Start() {
	if t.begin() {
		t.tracked.report(t.log)
	}
}

// begin is Start without its log; it tells whether it did something.
func (t *Tracker) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return false
	}
	t.started = true
	t.expiry = t.clock.AfterFunc(0, t.expire)
	t.announcer.Start()
	return true
}

// expire is the timer that gives back the memory of expired peers.
func (t *Tracker) expire() {
	now := t.clock.Now()
	next := t.store.Expire(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.expiry.Reset(next.Sub(now))
	}
}

// Close ends what Start began, announces under way included. Searches and
// announces that others started go on until they stop them or the nodes close.
// The store goes on to answer for as long as the nodes do; what is tracked from
// now on is not announced. To close again does nothing.
func (t *Tracker) Close() {
	t.mu.Lock()
	t.closed = true
	if t.expiry != nil {
		t.expiry.Stop()
	}
	t.mu.Unlock()
	t.announcer.Close()
}

// Stats is a snapshot of a Tracker.
type Stats struct {
	Swarms SwarmsStats

	Tracked, MaxTracked int // info-hashes
	Announcing          int // tracked ones whose announce is under way
	// AnnounceLag is for how long the tracked info-hash that is due longest has
	// waited for its turn.
	AnnounceLag time.Duration
	// AnnounceRound is how long it took to come round to the one that was announced last:
	// about an interval, unless announces are late.
	AnnounceRound time.Duration

	Announces       uint64 // that ended, of info-hashes tracked or not
	AnnouncesFailed uint64 // of these: stored by no node

	TokensWithheld   uint64 // get_peers answered without a token
	AnnouncesRefused uint64 // announce_peer with a good token, but no room
	Scrapes          uint64 // get_peers answered with filters (BEP 33)

	SampledHashes  int    // info-hashes in the sample that is served (BEP 51)
	SamplesServed  uint64 // info-hashes handed out in samples
	SampleRenewals uint64
}

// Stats returns a snapshot of the counters and gauges.
func (t *Tracker) Stats() Stats {
	s := Stats{
		Swarms:           t.store.Stats(),
		AnnouncesFailed:  t.counters.announcesFailed.Load(),
		TokensWithheld:   t.counters.tokensWithheld.Load(),
		AnnouncesRefused: t.counters.announcesRefused.Load(),
		SampledHashes:    len(t.sampler.current.Load().hashes) / krpc.IDLen,
		SamplesServed:    t.sampler.served.Load(),
		SampleRenewals:   t.sampler.renewals.Load(),
		Scrapes:          t.counters.scrapes.Load(),
	}
	s.Announces = t.counters.announces.Load() // at last: never less than failed
	a := t.announcer.Stats()
	s.Tracked, s.MaxTracked, s.Announcing = a.Jobs, a.Max, a.Running
	s.AnnounceLag, s.AnnounceRound = a.Lag, a.Round
	return s
}

// Package indexer surveys which info-hashes the DHT holds (BEP 51): one sweep asks
// every node once for a sample.
//
// The sweep goes through the keyspace zone by zone. A zone is all ids that begin with
// the same bits, a few hundred nodes of them. Each node of the zone that was heard of is
// asked, and its reply names more of them, until nobody in the zone is left to ask. So
// memory is bounded by the zone, however large the network is.
package indexer

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/serial"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// DefaultRate is how many nodes are asked a second.
	DefaultRate = 50
	// MaxInterval is the longest that a node may ask not to be asked again (BEP 51),
	// and what holds for a node that asks nothing of the kind.
	MaxInterval = 6 * time.Hour
)

// ErrNoNodes ends a sweep that found nobody to ask for some minutes.
var ErrNoNodes = errors.New("indexer: no node answers")

// Config configures an Indexer.
type Config struct {
	// Required.
	Node *kademlia.Node // asks; the sweep is through the DHT of its family
	Rand *rand.Rand     // of targets; the Indexer is its only user from then on

	// Rate is how many nodes are asked a second, on average. The lookups of the sweep
	// are counted, but not spread. 0: DefaultRate.
	Rate float64

	// OnSample is told of each info-hash, and OnDone once how the sweep ended: nil at
	// the end of the keyspace, else ErrNoNodes, kademlia.ErrStopped or krpc.ErrClosed.
	// The calls are made one at a time. They may not block; they may call the Indexer.
	// Both may be nil.
	//
	// An info-hash comes again if a liar sends so many that it is forgotten, or if the
	// run that has told of it was ended within its zone.
	OnSample func(ih krpc.ID)
	OnDone   func(err error)

	// Resume is where an earlier run was. The zero Checkpoint begins a sweep. Whoever
	// begins one earlier than MaxInterval after the last one asks nodes too soon.
	Resume Checkpoint
}

func (c *Config) validate() error {
	switch {
	case c.Node == nil || c.Rand == nil:
		return errors.New("indexer: Node and Rand are required")
	case !(c.Rate >= 0) || math.IsInf(c.Rate, 1):
		return errors.New("indexer: Rate must be 0 or more")
	case c.Resume.begun && c.Resume.v6 != c.Node.Is6():
		return errors.New("indexer: Resume is of a sweep through the other family's DHT")
	}
	return nil
}

// Indexer makes one sweep. It is passive: replies and the timers of the node's clock
// drive it. It is safe for concurrent use.
type Indexer struct {
	cfg    Config
	node   *kademlia.Node
	clock  krpc.Clock
	pacer  *krpc.Pacer
	bounds bounds

	// events come one at a time: what happens, by do, and then without mu the queries and
	// callbacks that it leads to. They alone use what follows.
	events serial.Calls
	stop   func() // ends the wait for the node to join, or the last lookup

	mu         sync.Mutex // guards what follows against Progress and Checkpoint
	started    bool
	over       bool
	done       bool               // over, because there is no more keyspace
	zone       *area              // under way; nil until the size of the network is known
	queue      []*node            // to be asked, most of them of the zone
	asked      map[*node]struct{} // have not answered yet; at most bounds.asked
	doubtful   []*node            // have not answered when nobody did
	lastAsked  time.Time
	lastHeard  time.Time
	seeds      seeds
	seen       recent
	totals     totals
	size       float64 // nodes of the network, as they were estimated first
	lookingUp  bool
	lonely     int       // lookups in a row that nobody answered
	pauseEnd   time.Time // after the last of them
	timer      krpc.Timer
	began      time.Time
	beganShare float64
}

// bounds are what a sweep holds at most. They grow with its rate, since the end of a
// zone takes time in which nobody is asked.
type bounds struct {
	aim   int // nodes that a zone shall have, at most; see maxPerCell for what it may have
	asked int // queries under way
	seen  int // info-hashes of a generation
}

// maxAim bounds bounds.aim.
const maxAim = 4096

func boundsFor(rate float64) bounds {
	aim := int(min(max(10*rate, 256), maxAim)) // ten seconds
	return bounds{aim: aim, asked: aim, seen: 64 * aim}
}

// New returns an Indexer that waits for Start. The error says what is wrong with cfg.
func New(cfg Config) (*Indexer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Rate == 0 {
		cfg.Rate = DefaultRate
	}
	ix := &Indexer{
		cfg: cfg, node: cfg.Node, clock: cfg.Node.Clock(),
		pacer:  krpc.NewPacer(cfg.Rate, 1),
		bounds: boundsFor(cfg.Rate),
		asked:  make(map[*node]struct{}),
	}
	ix.seen.limit = ix.bounds.seen
	return ix, nil
}

// do has f happen as an event, under mu: at once, or when those before it are over.
func (ix *Indexer) do(f func()) {
	ix.events.Do(func() {
		ix.mu.Lock()
		defer ix.mu.Unlock()
		f()
	})
}

// Start begins the sweep, as soon as the node has joined the DHT. To start again does
// nothing.
func (ix *Indexer) Start() {
	ix.do(func() {
		if ix.started || ix.over {
			return
		}
		ix.started = true
		ix.events.Do(func() { ix.stop = ix.node.WhenJoined(func() { ix.do(ix.begin) }) })
	})
}

// begin is called when the node has joined.
func (ix *Indexer) begin() {
	if ix.over {
		return
	}
	ix.began = ix.clock.Now()
	switch {
	case ix.cfg.Resume.done:
		ix.finish(nil)
	case ix.cfg.Resume.begun:
		ix.restore(&ix.cfg.Resume)
	}
	ix.step()
}

// Stop ends the sweep, with kademlia.ErrStopped unless it has ended already. If a
// callback is being made meanwhile, Stop may return before that. From OnDone on,
// Checkpoint tells where the sweep was. To stop again does nothing.
func (ix *Indexer) Stop() { ix.do(func() { ix.finish(kademlia.ErrStopped) }) }

// finish ends the sweep. What is still answered is not heard.
func (ix *Indexer) finish(err error) {
	if ix.over {
		return
	}
	ix.over, ix.done = true, err == nil
	if ix.timer != nil {
		ix.timer.Stop()
	}
	ix.events.Do(func() {
		if ix.stop != nil {
			ix.stop()
		}
		if f := ix.cfg.OnDone; f != nil {
			f(err)
		}
	})
}

// wakeIn lets step be called d from now, and not before unless something happens.
func (ix *Indexer) wakeIn(d time.Duration) {
	if ix.timer == nil {
		ix.timer = ix.clock.AfterFunc(d, func() { ix.do(ix.step) })
		return
	}
	ix.timer.Reset(d)
}

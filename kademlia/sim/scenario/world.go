package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// The streams that are drawn from the seed of a run.
const (
	seedOfWorld uint64 = iota
	seedOfNetwork
	seedOfMixture
	seedOfHosts = 1 << 32 // and above
)

// start is the time at which every world begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The parts of a run, besides Config.Length.
const (
	// joinPause is the time between two programs that join at first. Then a tenth of those that
	// are there join at a time and, in a large world, a fiftieth: if nearly all of them were
	// joining at the end, it would take more memory.
	joinPause   = time.Second
	growth      = 10
	largeGrowth = 50
	// formTime is what the world has to find together after the last one has joined. A large
	// world has less: most of its nodes have been there for a while by then.
	formTime      = 8 * time.Minute
	largeFormTime = 3 * time.Minute
	// SettleTime is what a world is given after the last fault, before what was acknowledged
	// must be found: an interval of announces and one of kept items, tables that had the time
	// to ping everybody twice, and the half of an hour in which the parts of a network that was
	// cut find each other.
	SettleTime = 45 * time.Minute
)

// world is a run.
type world struct {
	cfg    Config
	replay string // Config.Replay, before the defaults
	clock  *simnet.Clock
	rand   *rand.Rand
	net    *simnet.Network
	base   simnet.Link

	hosts    []*host // that have not left, in the order of their indices
	byAddr   map[netip.Addr]*host
	grown    int // hosts that there have been
	places   int // addresses
	watching int
	programs int

	swarms []*swarm
	items  []*published

	natShare float64
	skews    bool // clocks may be off
	disks    bool // there are some
	restarts bool // programs may be started again
	active   []*Fault

	ops     []*op
	history history
	report  recorder

	// What is being delivered. There is one datagram at a time.
	arriving, leaving, sending krpc.Message
	outbox                     outbox
	question                   krpc.Request // of the world itself; see program.holds

	events  uint64
	stopped bool
}

// ErrStopped ends a run that Config.Progress has stopped.
var ErrStopped = errors.New("scenario: stopped")

// Run runs a world to its end, or until an invariant does not hold: then the error is a *Broken.
// It is ErrStopped if Config.Progress said so. The report is of what has happened until then.
func Run(cfg Config) (Report, error) { return runWith(cfg, func(*world) {}) }

// runWith is Run, with the world shown before it begins.
func runWith(cfg Config, show func(*world)) (report Report, err error) {
	w := newWorld(cfg.withDefaults())
	w.replay = cfg.Replay()
	defer func() {
		if e := recover(); e != nil {
			b, ok := e.(*Broken)
			if !ok {
				b = w.brokenBy(fmt.Sprintf("panic: %v\n%s", e, debug.Stack()))
			}
			b.Replay = w.replay
			report, err = w.result(VerdictBroken), b
		}
	}()
	show(w)
	w.run()
	if w.stopped {
		return w.result(VerdictInterrupted), ErrStopped
	}
	return w.result(VerdictHeld), nil
}

func newWorld(cfg Config) *world {
	w := &world{
		cfg:    cfg,
		clock:  simnet.NewClock(start),
		rand:   rand.New(rand.NewPCG(cfg.Seed, seedOfWorld)),
		byAddr: make(map[netip.Addr]*host),
		base:   simnet.Link{Latency: simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, cfg.Seed)},
	}
	w.net = simnet.NewNetwork(w.clock, rand.New(rand.NewPCG(cfg.Seed, seedOfNetwork)), w.base)
	for _, f := range cfg.Scenario.Faults {
		if f.Kind == NAT {
			w.natShare = max(w.natShare, f.Share)
		}
	}
	w.skews = cfg.Scenario.has(Skew)
	w.disks = cfg.Scenario.has(Kill, PowerCut, DiskFault)
	w.restarts = w.disks || cfg.Scenario.has(Churn)
	w.makeSwarms()
	return w
}

func (w *world) run() {
	w.watch()
	for w.grown < w.cfg.Nodes && !w.stopped {
		for range w.cfg.joining(w.grown) {
			if w.grown < w.cfg.Nodes {
				w.addHost().boot()
			}
		}
		w.pass(joinPause)
	}
	w.pass(w.cfg.formTime())
	w.beginFaults()
	w.work()
	w.schedule()
	w.pass(w.cfg.Length)
	w.endFaults()
	if !w.cfg.SkipFinal {
		w.mendAll()
		w.pass(SettleTime)
		w.final()
	}
	w.close()
}

// length returns the virtual time that the run takes, about.
func (w *world) length() time.Duration {
	joining, up := 0, 0
	for ; up < w.cfg.Nodes; joining++ {
		up += w.cfg.joining(up)
	}
	length := time.Duration(joining)*joinPause + w.cfg.formTime() + w.cfg.Length
	if w.cfg.SkipFinal {
		return length
	}
	return length + SettleTime + finalTime
}

// pass lets virtual time pass, unless the run has been stopped.
func (w *world) pass(d time.Duration) {
	for end := w.clock.Now().Add(d); !w.stopped; {
		left := end.Sub(w.clock.Now())
		if left <= 0 {
			return
		}
		w.clock.RunUntil(func() bool { w.events++; return false }, min(left, time.Second))
		if ask := w.cfg.Progress; ask != nil && !ask(Progress{w.now(), w.length(), w.up(), w.events}) {
			w.stopped = true
		}
	}
}

// now returns the virtual time since the start.
func (w *world) now() time.Duration { return w.clock.Now().Sub(start) }

// up returns the number of programs that run.
func (w *world) up() (n int) {
	for _, h := range w.hosts {
		if h.life != nil {
			n++
		}
	}
	return n
}

// someHost returns a random host that runs a program; nil: none does.
func (w *world) someHost(also func(*host) bool) *host {
	for range 20 {
		if h := w.hosts[w.rand.IntN(len(w.hosts))]; h.life != nil && !h.life.dead && also(h) {
			return h
		}
	}
	return nil
}

func anyHost(*host) bool { return true }

// resolve is the DNS: it names three hosts that can be asked.
func (w *world) resolve(asker *host, done func([]netip.AddrPort, error)) {
	if w.on(DNS) {
		w.clock.AfterFunc(5*time.Second, func() { done(nil, errors.New("scenario: no such name")) })
		return
	}
	var addrs []netip.AddrPort
	for range 3 {
		h := w.someHost(func(h *host) bool { return h != asker && h.public() })
		if h == nil {
			break
		}
		for _, e := range h.ends {
			addrs = append(addrs, e.addr)
		}
	}
	w.clock.AfterFunc(20*time.Millisecond, func() { done(addrs, nil) })
}

// remotes returns the limit of a program on new remotes. It remembers a minute or two of
// addresses: that is too much for those of a large world.
func (w *world) remotes() *krpc.Remotes {
	if w.cfg.Nodes > LargeWorld {
		return nil
	}
	return krpc.NewRemotes(krpc.DefaultSendRemotes)
}

// retire takes h, which has left, out of the world.
func (w *world) retire(h *host) {
	h.leave()
	i, _ := slices.BinarySearchFunc(w.hosts, h.index, func(o *host, index int) int { return o.index - index })
	w.hosts = slices.Delete(w.hosts, i, i+1)
}

// close ends all programs: what is under way must end with them.
func (w *world) close() {
	for _, h := range w.hosts {
		h.kill(false)
	}
	if len(w.ops) > 0 && !w.stopped {
		w.broken("%d operations never end", len(w.ops))
	}
}

package scenario

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/journal/faultfs"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// How a slow host, a clock that is off and a disk that fails are.
const (
	slowQueue = 32
	maxRate   = .05           // of a clock, off the true one
	jumpEvery = time.Hour / 2 // of a clock
	diskFails = .05           // of the operations
	diskRoom  = 4 << 10       // bytes that a disk has left which fills up
	awayShare = 3             // of a session: who comes back stays away for a third of one on average
)

// schedule sets the times of the scenario's faults.
func (w *world) schedule() {
	for i := range w.cfg.Scenario.Faults {
		f := &w.cfg.Scenario.Faults[i]
		at := func(share float64) time.Duration { return time.Duration(share * float64(w.cfg.Length)) }
		w.clock.AfterFunc(at(f.From), func() {
			w.active = append(w.active, f)
			w.note(w.hosts[0], "all: "+string(f.Kind)+" begins")
			end := w.begin(f)
			w.clock.AfterFunc(at(f.To-f.From), func() {
				w.note(w.hosts[0], "all: "+string(f.Kind)+" ends")
				w.active = slices.DeleteFunc(w.active, func(o *Fault) bool { return o == f })
				end()
			})
		})
	}
}

// on tells whether something goes wrong at present.
func (w *world) on(kind Kind) bool {
	return slices.ContainsFunc(w.active, func(f *Fault) bool { return f.Kind == kind })
}

// begin lets f begin, and returns what ends it. It is called when f is active.
func (w *world) begin(f *Fault) (end func()) {
	switch f.Kind {
	case Loss, Duplicate, Reorder, Corrupt:
		w.relink()
		return w.relink
	case Partition:
		w.net.Partition(w.groups(f.Share))
		return w.net.Heal
	case OneWay:
		w.net.Filter(simnet.OneWay(f.Share, w.rand.Uint64()))
		return func() { w.net.Filter(nil) }
	case Unplug:
		return w.eachOf(f.Share, func(h *host) { h.unplug(true) }, func(h *host) { h.unplug(false) })
	case Slow:
		return w.eachOf(f.Share, func(h *host) { h.slow(f.Time) }, func(h *host) { h.slow(0) })
	case Skew:
		return w.eachOf(f.Share, func(h *host) { h.skewed(f) }, func(h *host) { h.skew.SetRate(1) })
	case DiskFault:
		return w.eachOf(f.Share, func(h *host) { h.breakDisk() }, (*host).mendDisk)
	case Churn:
		for _, h := range w.hosts {
			w.liveFor(h, f)
		}
	case Kill:
		w.nowAndThen(f, func(h *host) { h.killSometime(false) })
	case PowerCut:
		w.nowAndThen(f, func(h *host) { h.killSometime(true) })
	case Move:
		w.nowAndThen(f, func(h *host) {
			if !h.nat {
				h.move()
			}
		})
	}
	return func() {} // NAT, DNS: see addHost, resolve
}

// relink sets what befalls datagrams.
func (w *world) relink() {
	link := w.base
	for _, f := range w.active {
		switch f.Kind {
		case Loss:
			link.Loss = 1 - (1-link.Loss)*(1-f.Share)
		case Duplicate:
			link.Duplicate = f.Share
		case Reorder:
			link.Reorder = f.Share
		case Corrupt:
			link.Corrupt = f.Share
		}
	}
	w.net.SetLink(link)
}

// groups returns a partition that puts a share of the hosts on one side, for good.
func (w *world) groups(share float64) func(netip.AddrPort) int {
	seed := w.rand.Uint64()
	return func(a netip.AddrPort) int {
		h := w.byAddr[a.Addr()]
		if h == nil {
			return 0
		}
		if rand.New(rand.NewPCG(seed, uint64(h.index))).Float64() < share {
			return 1
		}
		return 0
	}
}

// eachOf does something to a share of the hosts, and returns what undoes it.
func (w *world) eachOf(share float64, do, undo func(*host)) (end func()) {
	var chosen []*host
	for _, h := range w.hosts {
		if w.rand.Float64() < share {
			chosen = append(chosen, h)
			do(h)
		}
	}
	return func() {
		for _, h := range chosen {
			if !h.gone {
				undo(h)
			}
		}
	}
}

// nowAndThen does something to random hosts while f is active, to each after f.Time on average.
func (w *world) nowAndThen(f *Fault, do func(*host)) {
	var step func()
	next := func() {
		mean := float64(f.Time) / float64(len(w.hosts))
		w.clock.AfterFunc(time.Duration(w.rand.ExpFloat64()*mean), step)
	}
	step = func() {
		if !w.isActive(f) {
			return
		}
		if h := w.someHost(anyHost); h != nil {
			do(h)
		}
		next()
	}
	next()
}

func (w *world) isActive(f *Fault) bool { return slices.Contains(w.active, f) }

// killSometime kills the program now or in the middle of one of its next writes.
func (h *host) killSometime(powerCut bool) {
	if h.disk == nil || h.rand.IntN(2) == 0 {
		h.crash(powerCut)
		return
	}
	h.cut = powerCut
	h.disk.CrashIn(1 + h.rand.IntN(6))
}

// liveFor lets h live for a random session from now on, if f is still active by then.
func (w *world) liveFor(h *host, f *Fault) {
	w.clock.AfterFunc(f.sessions()(w.rand), func() {
		if !w.isActive(f) || h.gone {
			return
		}
		if w.rand.IntN(3) == 0 {
			h.kill(false)
			away := time.Duration(w.rand.ExpFloat64() * float64(f.Time/awayShare))
			w.clock.AfterFunc(away, func() { h.boot(); w.liveFor(h, f) })
			return
		}
		w.retire(h)
		next := w.addHost()
		next.boot()
		w.liveFor(next, f)
	})
}

// sessions are those of mean length by Weibull, of which shape 0 stands for 1: exponential.
func (f *Fault) sessions() sim.Sessions {
	if f.Shape <= 0 {
		return sim.Exponential(f.Time)
	}
	return sim.Weibull(time.Duration(float64(f.Time)/math.Gamma(1+1/f.Shape)), f.Shape)
}

func (h *host) slow(each time.Duration) {
	for _, e := range h.ends {
		e.net.SetService(each, slowQueue)
	}
}

// skewed lets the clock of h run at a rate of its own, and jump ahead.
func (h *host) skewed(f *Fault) {
	h.skew.SetRate(1 + maxRate*(2*h.rand.Float64()-1))
	var jump func()
	next := func() {
		h.w.clock.AfterFunc(time.Duration(h.rand.ExpFloat64()*float64(jumpEvery)), jump)
	}
	jump = func() {
		if !h.w.isActive(f) || h.gone {
			return
		}
		h.jumped = h.w.clock.Now()
		by := time.Duration(h.rand.Float64() * float64(f.Time))
		h.w.note(h, "has its clock jump by "+by.String())
		h.skew.Jump(by)
		next()
	}
	next()
}

var errDisk = errors.New("scenario: the disk fails")

func (h *host) breakDisk() {
	h.w.note(h, "has a disk that fails")
	h.disk.Fail(func(faultfs.Op, string) error {
		if h.rand.Float64() < diskFails {
			return errDisk
		}
		return nil
	})
	if h.rand.IntN(2) == 0 {
		h.disk.Limit(h.disk.Used() + diskRoom)
	}
}

func (h *host) mendDisk() {
	h.disk.Fail(nil)
	h.disk.Limit(-1)
}

// mendAll ends what a fault has left behind. All hosts that have not left are started again.
func (w *world) mendAll() {
	w.active = nil
	for _, h := range w.hosts {
		if h.disk != nil {
			h.disk.CrashIn(0)
		}
		if h.life == nil {
			h.boot()
		}
	}
}

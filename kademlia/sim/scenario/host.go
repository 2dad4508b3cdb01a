package scenario

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/journal/faultfs"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// host is a machine: addresses, a clock, perhaps a disk, and mostly a program that runs.
type host struct {
	w     *world
	index int // hosts that there were before
	rand  *rand.Rand
	ends  []*end // one a family
	nat   bool
	clock krpc.Clock
	skew  *simnet.HostClock // clock, if it can be off
	disk  *faultfs.Disk     // nil: none
	cut   bool              // the crash that the disk waits for is a power cut
	saved []byte            // the state file; nil: none
	own   []*swarm          // what its user shares

	life      *program // nil: none runs
	gone      bool     // for good
	unplugged bool
	booted    time.Time // the world's clock: since when it has run and been reached
	jumped    time.Time // the world's clock: when its own last jumped

	unannounced int // announces that its addresses do not stem from

	watched  bool
	answered map[krpc.NodeInfo]struct{} // who has, ever
	promises promises

	since    time.Time // it has been there
	received uint64    // datagrams
	minute   uint64    // of these, before this minute
	before   uint64    // of these, before things went wrong
}

// end is one of a host's addresses.
type end struct {
	host *host
	at   int // among the ends, and the nodes of the program
	addr netip.AddrPort
	net  *simnet.Host
}

// is6 tells whether it is the end of the host on the network of IPv6.
func (e *end) is6() bool { return e.addr.Addr().Is6() }

// addHost adds a host that has not been started.
func (w *world) addHost() *host {
	i := w.grown
	w.grown++
	h := &host{w: w, index: i, rand: rand.New(rand.NewPCG(w.cfg.Seed, seedOfHosts+uint64(i))), clock: w.clock, since: w.clock.Now()}
	h.nat = i >= firstNAT && h.rand.Float64() < w.natShare
	if w.skews {
		h.skew = simnet.NewHostClock(w.clock, 0)
		h.clock = h.skew
	}
	if w.disks {
		h.disk = faultfs.New(h.rand.Uint64())
	}
	if h.watched = w.watching < w.cfg.Watch; h.watched {
		w.watching++
		h.answered = make(map[krpc.NodeInfo]struct{})
		h.promises = newPromises()
	}
	for _, v6 := range w.cfg.Family.of(i) {
		h.addEnd(v6)
	}
	w.join(h)
	w.hosts = append(w.hosts, h)
	return h
}

// firstNAT is the first host that may be behind a NAT: somebody has to be found.
const firstNAT = 3

// place returns an address that nobody has had.
func (w *world) place(v6 bool) netip.AddrPort {
	i := w.places
	w.places++
	if v6 {
		return simnet.Addr6(i)
	}
	return simnet.Addr(i)
}

func (h *host) addEnd(v6 bool) {
	e := &end{host: h, at: len(h.ends), addr: h.w.place(v6)}
	h.ends = append(h.ends, e)
	h.w.byAddr[e.addr.Addr()] = h
	if h.nat && !v6 {
		inside := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), simnet.Port)
		kind := simnet.NATKind(h.rand.IntN(int(simnet.Symmetric) + 1))
		e.net = h.w.net.NATHost(e.addr, inside, kind, 0, e.deliver)
	} else if h.nat {
		e.net = h.w.net.NATHost(e.addr, e.addr, simnet.PortRestricted, 0, e.deliver) // a firewall
	} else {
		e.net = h.w.net.Host(e.addr, e.deliver)
	}
	if h.skew != nil {
		e.net.SetClock(h.skew)
	}
}

// boot starts the program, with what was kept of an earlier run. A host whose disk fails it
// tries again a little later.
func (h *host) boot() {
	if h.gone || h.life != nil {
		return
	}
	h.w.note(h, "starts")
	p, err := newProgram(h)
	if err != nil {
		h.w.note(h, "cannot start: "+err.Error())
		if h.disk != nil {
			h.disk.Kill()
		}
		h.w.clock.AfterFunc(30*time.Second, h.boot)
		return
	}
	h.life, h.booted, h.unannounced = p, h.w.clock.Now(), 0
	h.replug()
	p.start()
}

// kill ends the program without a word. With a power cut what is not on the disk is gone.
func (h *host) kill(powerCut bool) {
	p := h.life
	if p == nil {
		return
	}
	h.life = nil
	h.replug()
	p.abandon()
	switch {
	case h.disk == nil:
		h.promises.clear()
	case powerCut:
		h.promises.lose(p.synced)
		h.disk.Crash()
	default:
		h.disk.Kill()
	}
	h.w.note(h, "is down")
}

// crash is kill, and a start some time later.
func (h *host) crash(powerCut bool) {
	h.kill(powerCut)
	down := time.Second + time.Duration(h.rand.Int64N(int64(2*time.Minute)))
	if h.rand.IntN(8) == 0 {
		down *= 10
	}
	h.w.clock.AfterFunc(down, h.boot)
}

// leave ends the program, and the host, for good.
func (h *host) leave() {
	h.kill(false)
	h.gone = true
	h.part()
	for _, e := range h.ends {
		delete(h.w.byAddr, e.addr.Addr())
		e.net.Close()
	}
	if h.watched {
		h.w.watching--
	}
}

// unplug takes the host off the network, or puts it back.
func (h *host) unplug(on bool) {
	h.unplugged = on
	h.replug()
	h.reached()
}

// reached takes note that from now on the host can be reached, or at other addresses.
func (h *host) reached() {
	h.booted = h.w.clock.Now()
	if h.life != nil {
		h.unannounced = h.life.announced()
	}
}

func (h *host) replug() {
	for _, e := range h.ends {
		e.net.SetDown(h.unplugged || h.life == nil)
	}
}

// move gives the host other addresses.
func (h *host) move() {
	for _, e := range h.ends {
		delete(h.w.byAddr, e.addr.Addr())
		e.addr = h.w.place(e.is6())
		h.w.byAddr[e.addr.Addr()] = h
		e.net.Move(e.addr)
	}
	h.reached()
	h.w.note(h, "has moved")
}

// restored returns what the state file has for the node at addr.
func (h *host) restored(addr netip.AddrPort) kademlia.NodeState {
	if h.saved == nil {
		return kademlia.NodeState{}
	}
	states, err := kademlia.DecodeStates(h.saved)
	if err != nil {
		h.w.broken("the state file cannot be read: %v", err)
	}
	return states[addr]
}

// stable tells whether the program has run, and been reached at the same addresses, for d.
func (h *host) stable(d time.Duration) bool {
	return h.life != nil && !h.unplugged && h.w.clock.Now().Sub(h.booted) >= d
}

// public tells whether anybody can ask the host.
func (h *host) public() bool { return h.life != nil && !h.unplugged && !h.nat }

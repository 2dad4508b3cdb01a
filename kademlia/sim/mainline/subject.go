package mainline

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// Subject is a node whose lookups are measured. Everything is called from events of
// the world's clock, or between them.
type Subject interface {
	// Deliver is the krpc.PacketFunc of the subject's transport.
	Deliver(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox)
	// Join starts the subject, which knows one node. ready is called once, when it
	// can look up.
	Join(bootstrap netip.AddrPort, ready func())
	// FindPeers looks up the peers of ih. onPeer is called for each peer, onEnd at the
	// end, with the number of queries that were sent.
	FindPeers(ih krpc.ID, onPeer func(), onEnd func(queries int))
	// Close ends the subject: it sends nothing any more.
	Close()
}

// Env is where a subject lives.
type Env struct {
	Clock     krpc.Clock
	Transport krpc.Transport
	Rand      *rand.Rand
	// Listed returns the contacts closest to target in the table of a random node of
	// the network, for policies that have no table of their own.
	Listed func(target krpc.ID) []krpc.NodeInfo
}

// Policy makes subjects.
type Policy struct {
	Name string
	New  func(Env) Subject
	// Lossless has nothing be lost in its worlds.
	Lossless bool
}

// place is a subject at its address in a world. It is the subject's transport, and
// watches what comes and goes.
type place struct {
	*simnet.Host
	w       *world
	subject Subject
	lookup  *observed // under way; nil: none
}

// observed is what is seen of a lookup from outside.
type observed struct {
	target  krpc.ID
	toDead  int
	asked   map[netip.AddrPort]bool
	replied map[netip.AddrPort]bool
}

func observe(target krpc.ID) *observed {
	return &observed{target: target, asked: make(map[netip.AddrPort]bool), replied: make(map[netip.AddrPort]bool)}
}

// settle puts a subject at an address of its own.
func (w *world) settle(p Policy) *place {
	at := &place{w: w}
	i := w.subjects
	w.subjects++
	at.Host = w.net.Host(w.stranger(i), at.deliver)
	rng := rand.New(rand.NewPCG(w.cfg.Seed, uint64(i)+100))
	at.subject = p.New(Env{Clock: w.clock, Transport: at, Rand: rng, Listed: func(target krpc.ID) []krpc.NodeInfo {
		return w.contacts(w.livingNode(), target)
	}})
	return at
}

func (p *place) leave() {
	p.subject.Close()
	p.Host.Close()
}

// LocalAddr implements krpc.Transport. The subject listens on all addresses of its
// host, as most do, and has to find out which one others see.
func (p *place) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), simnet.Port)
}

// Send implements krpc.Transport.
func (p *place) Send(to netip.AddrPort, b []byte) error {
	var m krpc.Message
	if o := p.lookup; o != nil && m.Decode(b) == nil && m.Method == krpc.MethodGetPeers && m.InfoHash == o.target {
		o.asked[to] = true
		if _, lives := p.w.at[to]; !lives {
			o.toDead++
		}
	}
	return p.Host.Send(to, b)
}

func (p *place) deliver(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
	var m krpc.Message
	if o := p.lookup; o != nil && o.asked[from] && m.Decode(b) == nil && m.Kind == krpc.KindReply {
		o.replied[from] = true
	}
	p.subject.Deliver(now, from, b, out)
}

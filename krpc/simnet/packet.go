package simnet

import (
	"math/bits"
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// packet is a datagram in flight. It is its own event, and is used again once
// it has arrived, so that a packet costs no garbage.
type packet struct {
	arrival timer
	net     *Network
	from    netip.AddrPort
	to      netip.AddrPort
	b       []byte
	host    *Host   // that it waits for, a slow one
	next    *packet // in the pool
}

// pool keeps the packets that are not in flight, by the size of their buffers:
// if any packet could carry anything, each would end up with room for the
// largest. It holds no more than were in flight at once.
type pool [numClasses]*packet

const (
	minBufferBits = 7 // 128 bytes: most queries
	numClasses    = 5
)

// The largest class must hold the largest datagram.
var _ [1<<(minBufferBits+numClasses-1) - krpc.MaxDatagram]struct{}

// sizeClass returns the smallest class whose buffers, of 128 bytes shifted left
// by the class, hold n bytes.
func sizeClass(n int) int { return bits.Len(uint(max(n-1, 0)) >> minBufferBits) }

// get returns a packet with a copy of b.
func (l *pool) get(n *Network, b []byte) *packet {
	class := sizeClass(len(b))
	p := l[class]
	if p == nil {
		p = &packet{net: n, b: make([]byte, 0, 1<<(minBufferBits+class))}
		p.arrival = timer{clock: n.clock, f: p.arrive, pos: idle}
	} else {
		l[class], p.next = p.next, nil
	}
	p.b = append(p.b[:0], b...)
	return p
}

func (l *pool) put(p *packet) {
	class := sizeClass(cap(p.b))
	p.next, l[class] = l[class], p
}

// launch puts a copy of b on its way.
func (n *Network) launch(link *Link, from, to netip.AddrPort, b []byte) {
	d := n.delay(link, from, to)
	p := n.pool.get(n, b)
	p.from, p.to = from, to
	if chance(link.Corrupt, n.rng) {
		n.trace.stats.Corrupted++
		p.b = corrupt(p.b, n.rng)
	}
	p.arrival.Reset(d)
}

// arrive is the event of a packet that has come to the end of its way.
func (p *packet) arrive() {
	n := p.net
	h, f := p.receiver()
	if f == waiting {
		return
	}
	n.record(f, p.from, p.to, p.b)
	if f == delivered {
		n.out.host = h
		h.deliver(h.now(), p.from, p.b, &n.out)
		n.out.host = nil
	}
	n.pool.put(p)
}

// receiver returns the host that p is for, and what becomes of p there.
func (p *packet) receiver() (*Host, fate) {
	if h := p.host; h != nil {
		p.host = nil
		return h, h.dequeue()
	}
	h, f := p.net.receiver(p.from, p.to)
	if f == delivered {
		f = h.enqueue(p)
	}
	return h, f
}

package simnet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// fate is what became of a datagram.
type fate uint8

const (
	delivered fate = iota
	lost
	noHost
	hostDown
	partitioned
	natDropped
	filtered
	overflowed
	numFates

	waiting // none yet: it is in the queue of a slow host
)

// Stats counts datagrams since the network was made. Each that was sent and
// each duplicate is InFlight until it meets exactly one of the eight fates from
// Delivered to Overflowed.
type Stats struct {
	Refused    uint64 // Send returned an error; counted nowhere else
	Sent       uint64
	SentBytes  uint64
	Duplicated uint64 // second copies made by the network
	Reordered  uint64 // copies that got an extra delay
	Corrupted  uint64 // copies that were damaged
	InFlight   uint64

	Delivered      uint64
	DeliveredBytes uint64
	Lost           uint64 // by the chance of Link.Loss
	NoHost         uint64 // nobody, or nobody any more, at the address
	HostDown       uint64 // sender or receiver was down
	Partitioned    uint64
	NATDropped     uint64 // not let in, or no port left to leave by
	Filtered       uint64 // by Network.Filter
	Overflowed     uint64 // no room in the queue of a slow host
}

// Stats returns the counters.
func (n *Network) Stats() Stats {
	s, f := n.trace.stats, &n.trace.fates
	s.Delivered, s.Lost, s.NoHost = f[delivered], f[lost], f[noHost]
	s.HostDown, s.Partitioned, s.NATDropped = f[hostDown], f[partitioned], f[natDropped]
	s.Filtered, s.Overflowed = f[filtered], f[overflowed]
	s.InFlight = s.Sent + s.Duplicated
	for _, settled := range f {
		s.InFlight -= settled
	}
	return s
}

// TraceHash returns a hash over the history of the network: for each datagram
// that arrived or vanished, in order, when it did, both addresses, its bytes
// and its fate. Two runs with equal hashes did the same; it does not depend on
// the process or the machine. It detects mistakes, not forgery.
func (n *Network) TraceHash() uint64 { return finish(n.trace.hash) }

// trace keeps the books of a network.
type trace struct {
	hash  uint64
	fates [numFates]uint64
	stats Stats // without what fates tells
}

func (t *trace) sent(size int) {
	t.stats.Sent++
	t.stats.SentBytes += uint64(size)
}

// record settles a datagram's fate.
func (n *Network) record(f fate, from, to netip.AddrPort, b []byte) {
	t := &n.trace
	t.fates[f]++
	if f == delivered {
		t.stats.DeliveredBytes += uint64(len(b))
	}
	h := mix(t.hash, uint64(n.clock.now))
	h = mix(h, uint64(f)<<48|uint64(len(b))<<32|uint64(from.Port())<<16|uint64(to.Port()))
	h = mixAddr(h, from.Addr())
	h = mixAddr(h, to.Addr())
	t.hash = mixBytes(h, b)
}

const (
	traceSeed = 0x6b616e6f64652e31
	// The odd multipliers of SplitMix64, whose step mix resembles.
	multiplier1 = 0x9e3779b97f4a7c15
	multiplier2 = 0xbf58476d1ce4e5b9
	multiplier3 = 0x94d049bb133111eb
)

// mix folds w into h. It is a bijection of either, so that nothing is forgotten,
// and takes eight bytes a step, where FNV takes one.
func mix(h, w uint64) uint64 {
	return bits.RotateLeft64(h^w*multiplier2, 27)*multiplier1 + 1
}

// finish spreads every bit of h over all of the result.
func finish(h uint64) uint64 {
	h = (h ^ h>>30) * multiplier2
	h = (h ^ h>>27) * multiplier3
	return h ^ h>>31
}

func mixAddr(h uint64, a netip.Addr) uint64 {
	hi, lo := addrWords(a)
	return mix(mix(h, hi), lo)
}

// mixBytes folds in b, whose length the caller has folded in.
func mixBytes(h uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	var tail [8]byte
	copy(tail[:], b)
	return mix(h, binary.LittleEndian.Uint64(tail[:]))
}

func addrWords(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

package krpc

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// PreferredBits is the length of the number of a mark of a Preferred, and PreferredWords the number
	// of words of the marks.
	PreferredBits  = 13
	PreferredWords = 1 << (PreferredBits - 5)
	// preferredFill is the share of the marks above which they do not tell the ones from the others.
	preferredFill = .5
	// activeAge is within which time somebody has to have asked if others are too many.
	activeAge = 20 * time.Second
)

// Preferred is the sources whose queries are to be delivered while a transport has to drop some: a
// Bloom filter with one mark for a source. It is small, and its hash is simple, so that a kernel can
// look into it before a datagram takes room in the receive buffer. A source is an IPv4 address or an
// IPv6 /48.
type Preferred struct {
	Key   PreferredKey
	Marks [PreferredWords]uint32
}

// PreferredKey is the secret of the hash: which sources share a mark cannot be foreseen. Multiply-shift
// hashing (Dietzfelbinger et al., 1997) is done twice, since the marks of neighbouring addresses
// would follow each other after once. The elements are odd.
type PreferredKey [3]uint32

func newPreferredKey(r *rand.Rand) PreferredKey {
	return PreferredKey{r.Uint32() | 1, r.Uint32() | 1, r.Uint32() | 1}
}

// Mark returns the number of the mark of a: the index of its word, above the 5 bits of that of its bit.
// With h and l for the upper 32 and the next 16 bits of the address, l being 0 for IPv4, and all
// arithmetic in 32 bits, it is x = h*k[0] + l*k[1], and then (x ^ x>>16) * k[2] >> 19.
func (k PreferredKey) Mark(a netip.Addr) uint32 {
	var h, l uint32
	if a.Is4() {
		b := a.As4()
		h = binary.BigEndian.Uint32(b[:])
	} else {
		b := a.As16()
		h, l = binary.BigEndian.Uint32(b[:]), uint32(binary.BigEndian.Uint16(b[4:]))
	}
	x := h*k[0] + l*k[1]
	return (x ^ x>>16) * k[2] >> (32 - PreferredBits)
}

// Has tells whether a is preferred. So is one of those who are not whose share of all is that of the
// marks that are set, half of them at most.
func (p *Preferred) Has(a netip.Addr) bool {
	m := p.Key.Mark(a)
	return p.Marks[m>>5]>>(m&31)&1 != 0
}

// add sets the mark of c.
func (p *Preferred) add(c sighting) {
	m := c.mark()
	p.Marks[m>>5] |= 1 << (m & 31)
}

// join adds the marks of q.
func (p *Preferred) join(q *Preferred) {
	for i, w := range q.Marks {
		p.Marks[i] |= w
	}
}

// fill returns the share of all marks that are set.
func (p *Preferred) fill() float64 {
	n := 0
	for _, w := range p.Marks {
		n += bits.OnesCount32(w)
	}
	return float64(n) / (1 << PreferredBits)
}

// preferred returns who is to be heard at now in a flood: who was known before, and who asked before
// or has kept asking. If these are too many to tell them from others, it is those of before; if these
// are too many, those who are known; then those of all who ask now; and if these are, nobody. It
// reads all cells of two tables.
func (e *Endpoint) preferred(now time.Time) *Preferred {
	lasts := e.strangers.lasts(now)
	var all, before, known, active, nobody Preferred
	e.cfg.Proven.each(now, func(c sighting, tick uint64) {
		if isBefore(c.since(tick), lasts) {
			known.add(c)
		}
	})
	e.asked.each(now, func(c sighting, tick uint64) {
		since := c.since(tick)
		if !isApart(since, lasts) {
			return
		}
		all.add(c)
		if isBefore(since, lasts) {
			before.add(c)
		}
		if c.freshFor(tick, activeAge) {
			active.add(c)
		}
	})
	all.join(&known)
	before.join(&known)
	chosen := &nobody
	for _, p := range []*Preferred{&all, &before, &known, &active} {
		if p.fill() <= preferredFill {
			chosen = p
			break
		}
	}
	chosen.Key = e.cfg.Proven.preferredKey
	return chosen
}

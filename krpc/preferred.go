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

// add sets the marks of all in t, at now, that were touched within age and have been there for so
// long that want says so.
func (p *Preferred) add(t *Proven, now time.Time, age time.Duration, want func(since time.Duration) bool) {
	tick := t.tick(now)
	for i := range t.sets {
		for j := range t.sets[i] {
			if c := proof(t.sets[i][j].Load()); c.freshFor(tick, age) && want(c.renewed(tick).lasting()) {
				m := c.mark()
				p.Marks[m>>5] |= 1 << (m & 31)
			}
		}
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
	known := func(since time.Duration) bool { return isKnown(since, lasts) }
	regular := func(since time.Duration) bool { return isRegular(since, lasts) }
	all, before, fewer, active := e.noneYet(), e.noneYet(), e.noneYet(), e.noneYet()
	fewer.add(e.cfg.Proven, now, provenAge, known)
	before.Marks, all.Marks = fewer.Marks, fewer.Marks
	before.add(e.asked, now, provenAge, known)
	all.add(e.asked, now, provenAge, regular)
	active.add(e.asked, now, activeAge, regular)
	for _, p := range []*Preferred{all, before, fewer, active} {
		if p.fill() <= preferredFill {
			return p
		}
	}
	return e.noneYet()
}

func (e *Endpoint) noneYet() *Preferred { return &Preferred{Key: e.cfg.Proven.preferredKey} }

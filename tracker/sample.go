package tracker

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// SampleOptions says which peers of a swarm to sample.
type SampleOptions struct {
	V6     bool // IPv6 peers (BEP 32), else IPv4
	NoSeed bool // leave out seeds, of no use to one who is a seed (BEP 33)
	Max    int  // peers at most
}

// Sample appends peers of the swarm of ih to dst, in the form of Message.Values:
// 8 bytes each, or 21 of IPv6. They are a uniform sample without replacement,
// in the order of their announces. If dst has the room, it allocates nothing.
func (s *Swarms) Sample(dst []byte, ih krpc.ID, o SampleOptions, now time.Time) []byte {
	t, sh := s.tick(now), s.shard(&ih)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.sample(dst, sh.find(&ih, t), o, t)
}

// sample appends peers of sw, which is nil if there is no such swarm.
func (sh *shard) sample(dst []byte, sw *swarm, o SampleOptions, t uint32) []byte {
	if sw == nil {
		return dst
	}
	a := &sw.peers[v4]
	if o.V6 {
		a = &sw.peers[v6]
	}
	stale := a.stale(t, sh.limits.life)
	n := a.len() - stale
	if o.NoSeed {
		n -= int(a.seeds) - a.seedsAmong(stale)
	}
	marks := sh.choose(n, min(o.Max, n))
	if o.NoSeed {
		return a.appendMarkedLeechers(dst, stale, marks)
	}
	return a.appendMarked(dst, stale, marks)
}

// choose marks k of n numbers at random, every set of k being as likely as any
// other. The marks are valid until the next call.
//
// It is Floyd's algorithm (Bentley and Floyd, 1987): as many random numbers as
// there are marks to make, or to leave out if these are fewer, and nothing to
// set up but the marks.
func (sh *shard) choose(n, k int) []uint64 {
	words := (n + 63) / 64
	sh.marks = slices.Grow(sh.marks[:0], words)[:words]
	clear(sh.marks)
	k = max(k, 0)
	leaveOut := k > n/2
	if leaveOut {
		k = n - k
	}
	for j := n - k; j < n; j++ {
		// The bias of a product's upper half is below n/2^64.
		hi, _ := bits.Mul64(sh.rng.Uint64(), uint64(j+1))
		pick := int(hi)
		if isMarked(sh.marks, pick) {
			pick = j
		}
		sh.marks[pick/64] |= 1 << (pick % 64)
	}
	if leaveOut {
		invert(sh.marks, n)
	}
	return sh.marks
}

// invert marks those of n numbers that are not marked.
func invert(marks []uint64, n int) {
	for i := range marks {
		marks[i] = ^marks[i]
	}
	if n%64 != 0 {
		marks[n/64] &= 1<<(n%64) - 1
	}
}

func isMarked(marks []uint64, i int) bool { return marks[i/64]>>(i%64)&1 != 0 }

// appendMarked appends the marked ones of the entries from first on.
func (a *peerArray) appendMarked(dst []byte, first int, marks []uint64) []byte {
	w := int(a.width)
	for i, word := range marks {
		for ; word != 0; word &= word - 1 {
			at := first + 64*i + bits.TrailingZeros64(word)
			dst = appendPeer(dst, a.b[at*w:(at+1)*w])
		}
	}
	return dst
}

// appendMarkedLeechers is appendMarked with marks that count only leechers.
func (a *peerArray) appendMarkedLeechers(dst []byte, first int, marks []uint64) []byte {
	w, leechers := int(a.width), 0
	for b := a.b[first*w:]; len(b) > 0; b = b[w:] {
		if b[w-1]&(seedBit>>8) != 0 {
			continue
		}
		if isMarked(marks, leechers) {
			dst = appendPeer(dst, b[:w])
		}
		leechers++
	}
	return dst
}

// appendPeer appends the address of an entry as a bencoded string. An IPv4 one
// is a word: the prefix is shifted in, and the stamp out.
func appendPeer(dst, entry []byte) []byte {
	if len(entry) == width4 {
		return binary.LittleEndian.AppendUint64(dst, binary.LittleEndian.Uint64(entry)<<16|':'<<8|'6')
	}
	return append(append(dst, "18:"...), entry[:width6-stampLen]...)
}

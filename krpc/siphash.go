package krpc

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// SipKey is a secret key of SipHash-2-4 (Aumasson and Bernstein, 2012), a fast
// keyed hash for short inputs that strangers choose: without the key they can
// neither aim at a cell of a table nor forge a token. hash/maphash would do the
// former, but draws its own seeds, and a simulation has to repeat itself.
type SipKey struct{ k0, k1 uint64 }

// NewSipKey draws a key from r. It is as secret as r is unpredictable: only a
// simulation may draw it from anything but a ChaCha8 seeded by crypto/rand.
func NewSipKey(r *rand.Rand) SipKey { return SipKey{r.Uint64(), r.Uint64()} }

// SipKeyLen is the length of a SipKey in bytes.
const SipKeyLen = 16

// SipKeyFrom returns the key that b is, to restore one that was saved.
func SipKeyFrom(b [SipKeyLen]byte) SipKey {
	return SipKey{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

// Append appends the key itself to dst, SipKeyLen bytes that are to be kept secret.
func (k SipKey) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, k.k0)
	return binary.LittleEndian.AppendUint64(dst, k.k1)
}

// Sum returns the hash of b.
func (k SipKey) Sum(b []byte) uint64 {
	s := k.state()
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		s = s.absorb(binary.LittleEndian.Uint64(b))
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return s.absorb(last).finish()
}

// sumWords returns the hash of the 16 bytes of a and b in little-endian order.
func (k SipKey) sumWords(a, b uint64) uint64 {
	return k.state().absorb(a).absorb(b).absorb(16 << 56).finish()
}

type sipState struct{ v0, v1, v2, v3 uint64 }

// state is the initial state: the key, and "somepseudorandomlygeneratedbytes".
func (k SipKey) state() sipState {
	return sipState{
		k.k0 ^ 0x736f6d6570736575, k.k1 ^ 0x646f72616e646f6d,
		k.k0 ^ 0x6c7967656e657261, k.k1 ^ 0x7465646279746573,
	}
}

func (s sipState) absorb(word uint64) sipState {
	s.v3 ^= word
	s = s.mix().stir().mix().stir()
	s.v0 ^= word
	return s
}

func (s sipState) finish() uint64 {
	s.v2 ^= 0xff
	s = s.mix().stir().mix().stir().mix().stir().mix().stir()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// mix and stir are one round, in halves small enough for the compiler to inline.
func (s sipState) mix() sipState {
	s.v0 += s.v1
	s.v2 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 = bits.RotateLeft64(s.v0, 32)
	return s
}

func (s sipState) stir() sipState {
	s.v2 += s.v1
	s.v0 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}

package simnet

import "math/rand/v2"

// corrupt damages b, in place, as a bad line or a middlebox does that no checksum catches.
// It returns what is left of it: cut off anywhere in half of the cases, else with an odd
// number of bits flipped, so that something always differs.
func corrupt(b []byte, r *rand.Rand) []byte {
	if len(b) == 0 {
		return b
	}
	if r.IntN(2) == 0 {
		return b[:r.IntN(len(b))]
	}
	for range 1 + 2*r.IntN(3) {
		bit := r.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
	}
	return b
}

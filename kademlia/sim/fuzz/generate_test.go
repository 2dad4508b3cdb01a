package fuzz

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

var (
	scripts = flag.Int("scripts", 60, "scripts to play")
	seed    = flag.Uint64("seed", 1, "seed of the first of them")
)

// TestScripts plays scripts that make more sense than those of a fuzzer: they come further.
func TestScripts(t *testing.T) {
	for i := range uint64(*scripts) {
		in := generate(rand.New(rand.NewPCG(*seed+i, 0)))
		ok := t.Run("", func(t *testing.T) {
			first := play(t, in)
			if i%8 == 0 && !bytes.Equal(first, play(t, in)) {
				t.Error("the same script has not done the same again")
			}
		})
		if !ok {
			t.Logf("seed %d fails", *seed+i)
		}
	}
}

// generate draws a script.
func generate(rng *rand.Rand) []byte {
	var choices mask
	for bit := range chooseUnspecified + 1 {
		if rng.IntN(4) == 0 {
			choices |= 1 << bit
		}
	}
	s := script{}.config(choices, byte(rng.IntN(8))) // mostly the default k
	if rng.IntN(4) > 0 {
		s = s.join()
	}
	for range rng.IntN(100) {
		s = s.drawMove(rng)
	}
	return s.rest
}

// drawMove returns s with a move, or with one and what comes of it.
func (s script) drawMove(rng *rand.Rand) script {
	b := make([]byte, moveLen)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	move := rng.IntN(2 * numMoves)
	if move >= numMoves { // most of what happens
		move = []int{moveQuery, moveAnswer, moveCall, moveWait, moveKeep}[rng.IntN(5)]
	}
	b[0] = byte(move)
	switch move {
	case moveWait:
		if rng.IntN(3) > 0 {
			b[1] %= minute
		}
	case moveAnswer:
		b[2], b[3] = drawMask(rng)
	case moveQuery:
		b[1], b[3] = b[1]%24, b[3]%32 // few strangers meet again
		b[4], b[5] = drawMask(rng)
		if rng.IntN(2) == 0 {
			asks := byte(krpc.MethodGetPeers)
			if rng.IntN(2) == 0 {
				asks = byte(krpc.MethodGet)
			}
			b[2] = asks
			s = s.move(b...)
			b[2]++ // the announce, or the put, with the token
			if b[4], b[5] = drawMask(rng); rng.IntN(3) == 0 {
				b[4] |= 1 << (queryTTL - 8)
			}
		}
	case moveRaw:
		b[2] %= 64
		raw := make([]byte, b[2])
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		return s.move(b...).raw(string(raw))
	case moveClose:
		if rng.IntN(4) > 0 {
			b[0] = moveServe
		}
	}
	return s.move(b...)
}

// drawMask returns a set of a few bits, often none.
func drawMask(rng *rand.Rand) (byte, byte) {
	var m mask
	for range max(0, rng.IntN(5)-2) {
		m |= 1 << rng.IntN(16)
	}
	return byte(m >> 8), byte(m)
}

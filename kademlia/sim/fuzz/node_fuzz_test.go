package fuzz

import (
	"bytes"
	"testing"
	"time"
)

// maxInput bounds a script, so that the fuzzer looks for what is new rather than what is long.
const maxInput = 1200

// FuzzNode plays a script to a program twice: the second time must go like the first.
func FuzzNode(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxInput {
			return
		}
		first := play(t, in)
		if again := play(t, in); !bytes.Equal(first, again) {
			t.Fatal("the same input has not done the same again")
		}
	})
}

// play returns a hash of all that the program did.
func play(t *testing.T, in []byte) []byte {
	p := newProgram(t, in)
	for len(p.script.rest) > 0 {
		p.move()
		p.check()
	}
	p.settle()
	return p.trace.Sum(nil)
}

// moveLen is the length of a move with its choices. It is the same for all, so that a change of
// one does not make others of those behind it; moveRaw has its bytes besides.
const moveLen = 10

// The moves of a script.
const (
	moveWait    = iota // time goes on
	moveServe          // how strangers answer from now on
	moveAnswer         // to one query, perhaps wrongly
	moveQuery          // from a stranger
	moveRaw            // bytes
	moveSpoiled        // the last query, with bytes changed
	moveCall           // to the program
	moveStop           // a call
	moveKeep           // to keep at something, or no longer
	moveRefuse         // the transport, from now on or no longer
	moveBlock          // addresses, from now on or no longer
	moveRestart
	moveClose // a part of it
	numMoves
)

func (p *program) move() {
	in := &script{p.script.bytes(moveLen)}
	switch p.in = in; in.below(numMoves) {
	case moveWait:
		p.wait(time.Millisecond << in.below(24)) // up to 2.3 hours
	case moveServe:
		p.serving = in.below(numServings)
	case moveAnswer:
		if q := p.take(in.below(256)); q != nil {
			p.reply(q, in.mask(), in)
		}
	case moveQuery:
		p.query()
	case moveRaw:
		p.deliver(p.stranger(in.next()).addr, p.script.bytes(int(in.next())))
	case moveSpoiled:
		p.spoiled()
	case moveCall:
		p.call(in.below(numCalls))
	case moveStop:
		if len(p.calls) > 0 {
			p.calls[in.below(256)%len(p.calls)].stop()
		}
	case moveKeep:
		p.keep()
	case moveRefuse:
		p.refuses = in.bool()
	case moveBlock:
		p.block(in.bool())
	case moveRestart:
		p.restart(in.mask())
	case moveClose:
		p.close(in.below(3))
	}
}

// wait lets time pass, up to six hours in all: what costs much finds little.
func (p *program) wait(d time.Duration) {
	p.clock.Run(min(d, max(0, 6*time.Hour-p.clock.Now().Sub(start))))
}

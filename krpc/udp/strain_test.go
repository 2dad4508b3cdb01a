package udp

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// fillingLink is a link whose receive buffer is as full as the test says.
type fillingLink struct {
	link
	full    float64
	asked   int
	level   int  // at which it refuses queries
	told    int  // how often it was told
	prefers bool // some
}

func (l *fillingLink) backlog() float64 { l.asked++; return l.full }

func (l *fillingLink) refuse(level int, p *krpc.Preferred) {
	l.level, l.told, l.prefers = level, l.told+1, p != nil
}

// A reader is under strain when its buffer fills up although it reads full batches, until it has
// emptied it.
func TestStrainIsABufferThatFillsUp(t *testing.T) {
	var readers atomic.Int32
	l, now := &fillingLink{full: .1}, time.Now()
	s := strain{link: l, readers: &readers, refusal: &refusal{link: l}}
	read := func(batches, n int) {
		for range batches {
			s.note(n, now)
		}
	}
	expect := func(want int32, when string) {
		t.Helper()
		if got := readers.Load(); got != want {
			t.Errorf("%s: %d readers under strain, want %d", when, got, want)
		}
	}
	read(100, batchLen-1)
	if l.asked > 0 {
		t.Error("the kernel was asked for no reason")
	}
	read(100, batchLen)
	expect(0, "busy, but keeping up")
	if l.asked > 100/strainBatches {
		t.Errorf("the kernel was asked %d times", l.asked)
	}
	l.full = .7
	read(strainBatches, batchLen)
	expect(1, "not keeping up")
	l.full = .1
	read(100, batchLen)
	expect(1, "still full batches")
	read(1, 10)
	expect(0, "all read")
	read(strainBatches-1, batchLen)
	l.full = 1
	expect(0, "a burst")
	read(1, batchLen)
	expect(1, "more than a burst")
	s.end()
	s.end()
	expect(0, "stopped")
}

// drainedLink is a link with so many full batches to read, and nothing after them.
type drainedLink struct {
	fillingLink
	batches int
	deaf    bool   // it was waited for while it refused queries
	last    func() // is called with the last batch
}

func (l *drainedLink) poll() (int, error) {
	if l.batches == 0 {
		return 0, nil
	}
	if l.batches--; l.batches == 0 && l.last != nil {
		l.last()
	}
	return batchLen, nil
}

func (l *drainedLink) receive() (int, error) {
	if l.batches > 0 {
		return l.poll()
	}
	l.deaf = l.level > 0
	return 0, net.ErrClosed
}

func (l *drainedLink) datagram(int) (netip.AddrPort, []byte, bool) {
	return netip.AddrPort{}, nil, false
}

func (l *drainedLink) flush() {}

// When all is read, the last batch may have been a full one. No query would come to tell of it.
func TestNobodyWaitsForQueriesThatAreRefused(t *testing.T) {
	l := &drainedLink{fillingLink: fillingLink{full: 1}, batches: 2 * strainBatches}
	s := scriptedSocket(l)
	r := s.refusals[0]
	r.set(2, time.Now())
	s.read(l, r, nil)
	if l.deaf {
		t.Error("waits for datagrams while the kernel refuses queries")
	}
	if s.Strained() || r.on() {
		t.Error("under strain, with nothing to read")
	}
}

// A flood goes on while the node stops.
func TestReaderUnderStrainStops(t *testing.T) {
	l := &drainedLink{fillingLink: fillingLink{full: 1}, batches: 2 * strainBatches}
	s := scriptedSocket(l)
	l.last = func() {
		close(s.done)
		l.batches = 10
	}
	r := s.refusals[0]
	r.set(1, time.Now())
	if s.read(l, r, nil); l.batches < 10 {
		t.Error("reads on after Stop")
	}
	if l.level > 0 {
		t.Error("leaves a socket that refuses queries to who comes after it")
	}
}

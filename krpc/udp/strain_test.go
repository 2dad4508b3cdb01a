package udp

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// fillingLink is a link whose receive buffer is as full as the test says.
type fillingLink struct {
	link
	full    float64
	asked   int
	refuses bool
}

func (l *fillingLink) backlog() float64 { l.asked++; return l.full }

func (l *fillingLink) refuseQueries(refuse bool) { l.refuses = refuse }

// A reader is under strain when its buffer fills up although it reads full batches, until it has
// emptied it.
func TestStrainIsABufferThatFillsUp(t *testing.T) {
	var readers atomic.Int32
	l := &fillingLink{full: .1}
	s := strain{link: l, readers: &readers}
	read := func(batches, n int) {
		for range batches {
			s.note(n)
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
	s.relax()
	s.relax()
	expect(0, "stopped")
}

// Queries are refused while the buffer is nearly full, until there is much room again.
func TestQueriesAreRefusedWhileTheBufferIsFull(t *testing.T) {
	l := &fillingLink{}
	s := strain{link: l, readers: new(atomic.Int32)}
	for _, tc := range []struct {
		full    float64
		refuses bool
	}{
		{strainBacklog, false}, {refuseBacklog - .01, false}, {refuseBacklog, true}, {1, true},
		{admitBacklog, true}, {admitBacklog - .01, false}, {refuseBacklog - .01, false}, {1, true},
	} {
		l.full = tc.full
		for range strainBatches * refuseLooks {
			s.note(batchLen)
		}
		if l.refuses != tc.refuses {
			t.Errorf("%.0f %% full: refuses queries: %v", 100*tc.full, l.refuses)
		}
	}
	if s.note(1); l.refuses {
		t.Error("all is read, and queries are refused")
	}
	for _, l.full = range []float64{1, .4, 1, 1, 1, .4, 1, 1, 1} {
		for range strainBatches {
			s.note(batchLen)
		}
		if l.refuses {
			t.Error("a buffer that is soon read refuses queries")
		}
	}
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
	l.deaf = l.refuses
	return 0, net.ErrClosed
}

func (l *drainedLink) datagram(int) (netip.AddrPort, []byte, bool) {
	return netip.AddrPort{}, nil, false
}

func (l *drainedLink) flush() {}

// When all is read, the last batch may have been a full one. No query would come to tell of it.
func TestNobodyWaitsForQueriesThatAreRefused(t *testing.T) {
	l := &drainedLink{fillingLink: fillingLink{full: 1}, batches: strainBatches * refuseLooks}
	s := newSocket(netip.AddrPort{})
	s.read(l, nil)
	if l.deaf {
		t.Error("waits for datagrams while the kernel refuses queries")
	}
	if s.Strained() {
		t.Error("under strain, with nothing to read")
	}
}

// A flood goes on while the node stops.
func TestReaderUnderStrainStops(t *testing.T) {
	l := &drainedLink{fillingLink: fillingLink{full: 1}, batches: 2 * strainBatches * refuseLooks}
	s := newSocket(netip.AddrPort{})
	l.last = func() {
		close(s.done)
		l.batches = 10
	}
	if s.read(l, nil); l.batches < 10 {
		t.Error("reads on after Stop")
	}
}

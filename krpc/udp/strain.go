package udp

import (
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// strainBatches is how many full batches in a row are read before the kernel is asked how
	// many more are waiting.
	strainBatches = 4
	// strainBacklog is the share of the receive buffer that has to be full then. Who asks in a
	// closed loop, however fast, does not fill it so far, and what waits in a buffer of 8 MiB is
	// answered within 20 ms; in an overload it would be all full.
	strainBacklog = .25
)

// strain is whether one reader has more to read than it can: whether its receive buffer is filling
// up. It costs a reader that keeps up one comparison a batch.
type strain struct {
	link    link
	readers *atomic.Int32 // that are under strain
	full    int           // batches in a row
	queries int           // of the datagrams of these
	on      bool
	refusal *refusal
}

// receive is link.receive, but notices first if all is read: the last batch may have been a full one,
// and while queries are refused few may come to tell. It may return without a datagram.
func (s *strain) receive() (int, error) {
	if !s.polls() {
		return s.link.receive()
	}
	if n, err := s.link.poll(); n > 0 || err != nil {
		return n, err
	}
	if s.emptied(time.Now()); s.refusal.on() {
		time.Sleep(refuseRest)
		return 0, nil
	}
	return s.link.receive()
}

// polls tells whether receive looks at the socket before it waits.
func (s *strain) polls() bool { return s.on || s.refusal.on() }

// note takes note of a batch of n datagrams, read at now. One that is not full has emptied the buffer.
func (s *strain) note(n int, now time.Time) {
	if n < batchLen {
		s.emptied(now)
		return
	}
	if s.full++; s.full%strainBatches != 0 {
		return
	}
	backlog := s.link.backlog()
	if !s.on && backlog >= strainBacklog {
		s.on = true
		s.readers.Add(1)
	}
	s.refusal.note(backlog, s.queries > strainBatches*batchLen/2, now)
	s.queries = 0
}

// count takes note of a datagram of the last batch.
func (s *strain) count(b []byte) {
	if krpc.BeginsAsQuery(b) {
		s.queries++
	}
}

// emptied takes note that all was read.
func (s *strain) emptied(now time.Time) {
	s.relax()
	if s.refusal.watches() {
		s.refusal.note(0, true, now)
	}
}

func (s *strain) relax() {
	s.full, s.queries = 0, 0
	if s.on {
		s.on = false
		s.readers.Add(-1)
	}
}

// end ends what the reader has begun.
func (s *strain) end() {
	s.relax()
	s.refusal.set(0, time.Time{})
}

// Strained implements krpc.Strainer: it tells whether the receive buffer of one of the readers was
// filling up when that last looked, and has not been emptied since. Only on Linux does it know.
func (s *Socket) Strained() bool { return s.strained.Load() > 0 }

// SetPreferred implements krpc.Strainer.
func (s *Socket) SetPreferred(preferred func(now time.Time) *krpc.Preferred) { s.preferred = preferred }

// choose tells whose queries are not refused at now, nil if nobody can.
func (s *Socket) choose(now time.Time) *krpc.Preferred {
	if s.preferred == nil {
		return nil
	}
	return s.preferred(now)
}

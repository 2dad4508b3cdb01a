package udp

import "sync/atomic"

const (
	// strainBatches is how many full batches in a row are read before the kernel is asked how
	// many more are waiting.
	strainBatches = 4
	// strainBacklog is the share of the receive buffer that has to be full then. Who asks in a
	// closed loop, however fast, does not fill it so far, and what waits in a buffer of 8 MiB is
	// answered within 20 ms; in an overload it would be all full.
	strainBacklog = .25
	// refuseBacklog is the share from which the kernel refuses queries, if it is as much when
	// refuseLooks times in a row so many batches have been read, and admitBacklog the one at which it
	// takes them in again. A full buffer has room only in the moment after each read, and a flood
	// takes it all: of the replies to our own queries, which come a few at a time, many more would
	// be lost than of the flood. Queries that are dropped unanswered, as those of strangers are,
	// are read so fast that the buffer does not stay as full.
	refuseBacklog = .5
	refuseLooks   = 4
	admitBacklog  = .25
)

// strain is whether one reader has more to read than it can: whether its receive buffer is filling
// up. It costs a reader that keeps up one comparison a batch.
type strain struct {
	link    link
	readers *atomic.Int32 // that are under strain
	full    int           // batches in a row
	on      bool
	high    int  // looks in a row at a backlog of refuseBacklog
	refuses bool // queries
}

// receive is link.receive, but notices first if all is read: the last batch may have been a full one,
// and while queries are refused none would come to tell.
func (s *strain) receive() (int, error) {
	if s.polls() {
		if n, err := s.link.poll(); n > 0 || err != nil {
			return n, err
		}
		s.relax()
	}
	return s.link.receive()
}

// polls tells whether receive looks at the socket before it waits.
func (s *strain) polls() bool { return s.on || s.refuses }

// note takes note of a batch of n datagrams. One that is not full has emptied the buffer.
func (s *strain) note(n int) {
	if n < batchLen {
		s.relax()
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
	if s.high++; backlog < refuseBacklog {
		s.high = 0
	}
	if s.refuses && backlog < admitBacklog || !s.refuses && s.high >= refuseLooks {
		s.refuse(!s.refuses)
	}
}

func (s *strain) relax() {
	s.full, s.high = 0, 0
	if s.refuses {
		s.refuse(false)
	}
	if s.on {
		s.on = false
		s.readers.Add(-1)
	}
}

func (s *strain) refuse(refuse bool) {
	s.refuses = refuse
	s.link.refuseQueries(refuse)
}

// Strained implements krpc.Strainer: it tells whether the receive buffer of one of the readers was
// filling up when that last looked, and has not been emptied since. Only on Linux does it know.
func (s *Socket) Strained() bool { return s.strained.Load() > 0 }

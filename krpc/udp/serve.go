package udp

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// errorPause is how long a reader rests after an error that may persist, so
// that a broken socket does not cost a core.
const errorPause = 10 * time.Millisecond

// Serve starts one goroutine a kernel socket, which hands the datagrams to
// deliver, and returns at once. Stop and Close end the goroutines and wait for
// them. deliver is called by all of them at the same time; the time that it gets
// is the one at which its batch was read. Serve may be called once; after Stop or
// Close it does nothing.
func (s *Socket) Serve(deliver krpc.PacketFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving {
		panic("udp: Serve called twice")
	}
	s.serving = true
	if s.stopping() {
		return
	}
	for i, l := range s.links {
		s.readers.Go(func() { s.read(l, s.refusals[i], deliver) })
	}
}

// read delivers what l receives, all of it, until s stops.
func (s *Socket) read(l link, r *refusal, deliver krpc.PacketFunc) {
	var out krpc.Outbox = l
	load := strain{link: l, readers: &s.strained, refusal: r}
	defer load.end()
	for {
		if load.polls() && s.stopping() {
			return // a look at the socket minds no deadline
		}
		n, err := load.receive()
		if err != nil {
			if s.stopping() || errors.Is(err, net.ErrClosed) {
				return
			}
			s.outlast(err)
			continue
		}
		now := time.Now()
		load.note(n, now)
		var datagrams, size uint64
		for i := range n {
			from, b, ok := l.datagram(i)
			if !ok {
				s.counters.truncated.Add(1)
				continue
			}
			if from.Port() == 0 || from.Addr().Is4In6() {
				s.counters.martians.Add(1)
				continue
			}
			datagrams++
			size += uint64(len(b))
			load.count(b)
			deliver(now, from, b, out)
		}
		s.counters.packetsIn.Add(datagrams)
		s.counters.bytesIn.Add(size)
		l.flush()
	}
}

// outlast counts an error of receive, and rests unless the error was the mark
// of one datagram, which the kernel has forgotten once it reported it.
func (s *Socket) outlast(err error) {
	switch classify(err) {
	case classUnreachable:
		s.counters.unreachable.Add(1)
		return
	case classTooLong:
		s.counters.truncated.Add(1)
		return
	}
	s.counters.receiveErrors.Add(1)
	rest := time.NewTimer(errorPause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-s.done:
	}
}

func (s *Socket) stopping() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// class says what is to be done about an error of the kernel.
type class int

const (
	classOther       class = iota
	classUnreachable       // ICMP or the routing table: about one datagram
	classFull              // no room in the send buffer or the device's queue
	classTooLong           // the datagram received exceeds the buffer
)

func classify(err error) class {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return classifyErrno(errno)
	}
	return classOther
}

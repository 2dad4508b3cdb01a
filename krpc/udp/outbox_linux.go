package udp

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// outbox is the krpc.Outbox of a reader: one sendmmsg a batch of replies.
type outbox struct {
	conn       *net.UDPConn
	raw        syscall.RawConn
	beforeSend func() // may be nil
	queue      sendQueue
	buffers    [batchLen][krpc.MaxDatagram]byte

	// Of the datagram being delivered:
	from   netip.AddrPort
	scope  uint32   // interface index of its sender, if link-local
	source *control // the address that it came to, if the socket is a wildcard
	chosen control  // is source after leaveFrom

	try  func(fd uintptr)      // queue.transmit, made once
	wait func(fd uintptr) bool // the same for the netpoller
}

func (o *outbox) init(conn *net.UDPConn, raw syscall.RawConn, v6 bool, beforeSend func(), c *counters) {
	o.conn, o.raw, o.beforeSend = conn, raw, beforeSend
	o.queue.init(batchLen, v6, c)
	o.try = func(fd uintptr) { o.queue.transmit(fd) }
	o.wait = o.queue.transmit
}

// answering says what the next pushes reply to.
func (o *outbox) answering(from netip.AddrPort, scope uint32, source *control) {
	o.from, o.scope, o.source = from, scope, source
}

func (o *outbox) leaveFrom(source netip.Addr) {
	if o.source = nil; source.IsValid() {
		o.chosen.leaveFrom(source)
		o.source = &o.chosen
	}
	o.from, o.scope = netip.AddrPort{}, 0
}

// Buffer implements krpc.Outbox.
func (o *outbox) Buffer() []byte { return o.buffers[o.queue.queued][:0] }

// Push implements krpc.Outbox.
func (o *outbox) Push(to netip.AddrPort, b []byte) {
	if !sendable(b) {
		o.queue.counters.sendErrors.Add(1)
		return
	}
	scope := o.scope
	if to != o.from {
		var err error
		if scope, err = scopeOf(to); err != nil {
			o.queue.counters.sendErrors.Add(1)
			return
		}
	}
	o.queue.add(to, scope, b, o.source)
	if o.queue.queued == batchLen {
		o.flush()
	}
}

// flush waits for room in the send buffer once, for sendWait at most. The
// deadline is never cleared: nothing else writes through the netpoller.
func (o *outbox) flush() {
	q := &o.queue
	if q.queued == 0 {
		return
	}
	if o.beforeSend != nil {
		o.beforeSend()
	}
	_ = o.raw.Control(o.try) // fails only once the socket is closed
	if q.queued == 0 {
		return
	}
	if o.conn.SetWriteDeadline(time.Now().Add(sendWait)) == nil {
		_ = o.raw.Write(o.wait)
	}
	if q.queued > 0 {
		q.abandon(syscall.EAGAIN)
	}
}

// sender is link.send: a queue of one for each goroutine that is sending.
type sender struct {
	raw     syscall.RawConn
	singles sync.Pool // of *single
}

// single is a queue of one datagram.
type single struct {
	queue sendQueue
	try   func(fd uintptr)
}

func (s *sender) init(raw syscall.RawConn, v6 bool, c *counters) {
	s.raw = raw
	s.singles.New = func() any {
		one := new(single)
		one.queue.init(1, v6, c)
		one.try = func(fd uintptr) { one.queue.transmit(fd) }
		return one
	}
}

// send never waits: Control, unlike Write, takes no lock that a flushing reader
// may hold.
func (s *sender) send(to netip.AddrPort, b []byte) error {
	one := s.singles.Get().(*single)
	defer s.singles.Put(one)
	q := &one.queue
	scope, err := scopeOf(to)
	if err != nil {
		q.counters.sendErrors.Add(1)
		return err
	}
	q.errno = 0
	q.add(to, scope, b, nil)
	defer q.forget()
	if err := s.raw.Control(one.try); err != nil {
		q.abandon(syscall.EBADF)
		return err
	}
	if q.queued > 0 {
		q.abandon(syscall.EAGAIN)
	}
	if q.errno != 0 {
		return q.errno
	}
	return nil
}

// scopeOf returns the interface index that a zone in to stands for.
func scopeOf(to netip.AddrPort) (uint32, error) {
	if zone := to.Addr().Zone(); zone != "" {
		return zoneIndex(zone)
	}
	return 0, nil
}

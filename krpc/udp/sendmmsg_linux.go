package udp

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendQueue is a row of datagrams for sendmmsg. It is not safe for concurrent
// use; the kernel takes any number of queues of one socket at a time.
type sendQueue struct {
	v6       bool
	counters *counters
	// call is sendmmsg, a field for tests to put errors into.
	call func(fd uintptr, headers []unix.Mmsghdr) (int, syscall.Errno)

	headers  []unix.Mmsghdr
	vectors  []unix.Iovec
	names    []sockaddr
	controls []control
	queued   int           // headers in use
	sent     int           // of these, those that are done with
	errno    syscall.Errno // of the last datagram that did not leave
}

func (q *sendQueue) init(size int, v6 bool, c *counters) {
	*q = sendQueue{
		v6: v6, counters: c, call: sendmmsg,
		headers:  make([]unix.Mmsghdr, size),
		vectors:  make([]unix.Iovec, size),
		names:    make([]sockaddr, size),
		controls: make([]control, size),
	}
	for i := range q.headers {
		h := &q.headers[i].Hdr
		h.Name = &q.names[i][0]
		h.Iov = &q.vectors[i]
		h.SetIovlen(1)
	}
}

// add queues b, which it keeps until it is sent, to leave from source if that
// is not nil. A destination of the wrong family is counted and left out.
func (q *sendQueue) add(to netip.AddrPort, scope uint32, b []byte, source *control) {
	i := q.queued
	n := q.names[i].set(to, scope, q.v6)
	if n == 0 {
		q.fail(syscall.EAFNOSUPPORT, 1)
		return
	}
	q.vectors[i].Base = &b[0]
	q.vectors[i].SetLen(len(b))
	h := &q.headers[i].Hdr
	h.Namelen = uint32(n)
	h.Control = nil
	h.SetControllen(0)
	if source != nil {
		q.controls[i] = *source
		h.Control = q.controls[i].bytes()
		// Exactly the message: the kernel refuses what follows it as another.
		h.SetControllen(int(source.header.Len))
	}
	q.queued++
}

// transmit sends what is queued. It returns false if the send buffer filled up
// first; then call it again to go on, or abandon.
func (q *sendQueue) transmit(fd uintptr) bool {
	for q.sent < q.queued {
		n, errno := q.call(fd, q.headers[q.sent:q.queued])
		switch {
		case errno == 0:
			q.done(n)
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			q.errno = errno
			return false
		case classify(errno) == classFull:
			q.abandon(errno)
		default:
			// The error is that of the first datagram; the others may be fine.
			q.fail(errno, 1)
			q.sent++
		}
	}
	q.queued, q.sent = 0, 0
	return true
}

// abandon drops what is queued and not sent.
func (q *sendQueue) abandon(errno syscall.Errno) {
	q.fail(errno, q.queued-q.sent)
	q.queued, q.sent = 0, 0
}

// forget lets go of the last datagram that was queued first.
func (q *sendQueue) forget() { q.vectors[0].Base = nil }

// done counts n datagrams as sent.
func (q *sendQueue) done(n int) {
	var size uint64
	for i := range n {
		size += uint64(q.vectors[q.sent+i].Len)
	}
	q.sent += n
	q.counters.packetsOut.Add(uint64(n))
	q.counters.bytesOut.Add(size)
}

// fail counts datagrams that errno kept from leaving.
func (q *sendQueue) fail(errno syscall.Errno, datagrams int) {
	q.errno = errno
	q.counters.unsent(classifyErrno(errno), datagrams)
}

func sendmmsg(fd uintptr, headers []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd,
		uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

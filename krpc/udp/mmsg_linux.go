package udp

import (
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kadnode/kadnode/krpc"
)

// batched is the link that reads with recvmmsg and writes with sendmmsg. The
// arrays that the kernel fills and reads are made once and reused, and so are
// the functions given to the netpoller: a batch allocates nothing.
//
// The calls are raw: the scheduler does not learn of them. They never block
// (MSG_DONTWAIT), and telling it costs more than the call, since at low load it
// hands the processor to another thread and takes it back each time.
type batched struct {
	raw  syscall.RawConn
	recv func(fd uintptr) bool // receiveFrom, made once
	look func(fd uintptr)      // the same, once and without waiting
	size func(fd uintptr)      // readBacklog

	headers  [batchLen]unix.Mmsghdr
	vectors  [batchLen]unix.Iovec
	names    [batchLen]sockaddr
	controls [batchLen]control
	buffers  [batchLen][krpc.MaxDatagram]byte
	received int // headers that the last recvmmsg wrote to
	errno    syscall.Errno
	waiting  float64 // the last backlog
	zones    zoneNames

	outbox
	sender
}

func newBatched(conn *net.UDPConn, o options, beforeSend func(), c *counters) (*batched, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &batched{raw: raw}
	r.refuse(0, nil) // a process that left us its socket may have died in an overload
	r.recv = r.receiveFrom
	r.look = func(fd uintptr) { r.receiveFrom(fd) }
	r.size = r.readBacklog
	for i := range r.headers {
		r.vectors[i].Base = &r.buffers[i][0]
		r.vectors[i].SetLen(len(r.buffers[i]))
		h := &r.headers[i].Hdr
		h.Name = &r.names[i][0]
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		if o.wildcard {
			h.Control = r.controls[i].bytes()
		}
	}
	r.rearm(batchLen)
	r.outbox.init(conn, raw, o.v6, beforeSend, c)
	r.sender.init(raw, o.v6, c)
	return r, nil
}

// rearm restores the lengths of the first n headers, which the kernel
// overwrites with those of what it received.
func (r *batched) rearm(n int) {
	for i := range n {
		h := &r.headers[i].Hdr
		h.Namelen = sockaddrLen
		if h.Control != nil {
			h.SetControllen(controlLen)
		}
	}
}

func (r *batched) receive() (int, error) {
	r.rearm(r.received)
	r.received = 0
	if err := r.raw.Read(r.recv); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.received, nil
}

func (r *batched) poll() (int, error) {
	r.rearm(r.received)
	r.received, r.errno = 0, 0
	if err := r.raw.Control(r.look); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.received, nil
}

// receiveFrom reads a batch; false has the netpoller wait for fd.
func (r *batched) receiveFrom(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.headers[0])), batchLen, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.received, r.errno = int(n), 0
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		r.errno = errno
		return true
	}
}

func (r *batched) datagram(i int) (netip.AddrPort, []byte, bool) {
	h := &r.headers[i]
	from, scope := r.names[i].addrPort()
	if scope != 0 {
		from = netip.AddrPortFrom(from.Addr().WithZone(r.zones.name(scope)), from.Port())
	}
	r.answering(from, scope, r.controls[i].asSource(int(h.Hdr.Controllen)))
	n := min(int(h.Len), krpc.MaxDatagram)
	return from, r.buffers[i][:n:n], h.Hdr.Flags&unix.MSG_TRUNC == 0
}

func (r *batched) backlog() float64 {
	if r.waiting = 0; r.raw.Control(r.size) != nil {
		return 0
	}
	return r.waiting
}

// readBacklog asks the kernel how full the receive buffer is. What waits is charged with what it
// takes there, a multiple of its length.
func (r *batched) readBacklog(fd uintptr) {
	info := readMemInfo(fd)
	if room := info[unix.SK_MEMINFO_RCVBUF]; room > 0 {
		r.waiting = float64(info[unix.SK_MEMINFO_RMEM_ALLOC]) / float64(room)
	}
}

func (r *batched) room() (bytes, overflows uint64) {
	_ = r.raw.Control(func(fd uintptr) {
		info := readMemInfo(fd)
		bytes, overflows = uint64(info[unix.SK_MEMINFO_RCVBUF]), uint64(info[unix.SK_MEMINFO_DROPS])
	})
	return bytes, overflows
}

// readMemInfo returns what the kernel says of the memory of a socket; zeros if it does not.
func readMemInfo(fd uintptr) (info [unix.SK_MEMINFO_VARS]uint32) {
	size := uint32(unsafe.Sizeof(info))
	_, _, _ = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info
}

func (r *batched) arrivedAt(i int) netip.Addr {
	return r.controls[i].destination(int(r.headers[i].Hdr.Controllen))
}

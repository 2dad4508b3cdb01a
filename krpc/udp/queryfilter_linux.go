package udp

import (
	"golang.org/x/sys/unix"
)

// queryFilter is a program that the kernel runs on each datagram before it takes room in the
// receive buffer. It drops those that begin like a query: "d1:a", the key of the arguments, which
// comes first in the order that BEP 5 asks for. Replies begin with their values or BEP 42's "ip".
var queryFilter = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 8}, // past the header of UDP; a shorter one is dropped
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 'd'<<24 | '1'<<16 | ':'<<8 | 'a'},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1}, // all of it
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// refuseQueries has the kernel drop queries instead of taking them in, or ends that. A kernel that
// does not let us goes on to drop whatever comes last.
func (r *batched) refuseQueries(refuse bool) {
	_ = r.raw.Control(func(fd uintptr) { refuseQueries(int(fd), refuse) })
}

func refuseQueries(fd int, refuse bool) {
	if !refuse {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		return
	}
	program := unix.SockFprog{Len: uint16(len(queryFilter)), Filter: &queryFilter[0]}
	_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
}

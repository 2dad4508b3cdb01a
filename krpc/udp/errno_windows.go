package udp

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// classifyErrno knows that Windows reports an ICMP "port unreachable" as a
// connection reset, and a cut off datagram as an error.
func classifyErrno(errno syscall.Errno) class {
	switch errno {
	case windows.WSAECONNRESET, windows.WSAENETRESET, windows.WSAECONNREFUSED,
		windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH:
		return classUnreachable
	case windows.WSAEWOULDBLOCK, windows.WSAENOBUFS:
		return classFull
	case windows.WSAEMSGSIZE:
		return classTooLong
	}
	return classOther
}

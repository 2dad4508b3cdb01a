//go:build unix

package udp

import "syscall"

func classifyErrno(errno syscall.Errno) class {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.ENOPROTOOPT:
		return classUnreachable
	case syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM:
		return classFull
	}
	return classOther
}

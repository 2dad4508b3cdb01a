//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// checkInherited returns an error unless the file fd is open and of a kind. It leaves it as it is.
func checkInherited(fd int, want fileKind) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	mode := uint32(st.Mode) & syscall.S_IFMT
	switch want {
	case pipeFile:
		if mode != syscall.S_IFIFO {
			return errors.New("not a pipe")
		}
	case plainFile:
		if mode != syscall.S_IFREG {
			return errors.New("not a plain file")
		}
	case socketFile:
		if mode != syscall.S_IFSOCK {
			return errNoSocket
		}
		kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
		if err != nil || kind != syscall.SOCK_DGRAM && kind != syscall.SOCK_STREAM {
			return errNoSocket
		}
	}
	return nil
}

// closeOnExec keeps an inherited file from processes that this one starts.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

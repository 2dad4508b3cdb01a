//go:build unix

package main

import (
	"net"
	"os"
	"syscall"
)

// handoverSignal has a node start its successor.
var handoverSignal os.Signal = syscall.SIGUSR2

// duplicate returns a file of its own for a listener. That of TCPListener.File would not do:
// to pass it to a child turns the socket, which is shared, to blocking mode.
func duplicate(l net.Listener) (*os.File, error) {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if e := raw.Control(func(of uintptr) { fd, err = syscall.Dup(int(of)) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}

//go:build unix

package udp

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// canInherit says whether sockets can be handed from process to process as files.
const canInherit = true

// duplicate returns a file of its own for the kernel socket of conn. That of
// conn.File would not do: to pass it to a child turns the socket, which is shared,
// to blocking mode, and a plain reader would hang in it.
func duplicate(conn *net.UDPConn, local netip.AddrPort) (*os.File, error) {
	var fd int
	err := onDescriptor(conn, func(of uintptr) (err error) {
		fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "udp "+local.String()), nil
}

// v6Only tells whether an IPv6 socket leaves IPv4 to others.
func v6Only(conn *net.UDPConn) (bool, error) {
	var value int
	err := onDescriptor(conn, func(fd uintptr) (err error) {
		value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		return os.NewSyscallError("getsockopt", err)
	})
	return value != 0, err
}

// onDescriptor calls f with the descriptor of conn.
func onDescriptor(conn *net.UDPConn, f func(fd uintptr) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if ctl := raw.Control(func(fd uintptr) { err = f(fd) }); ctl != nil {
		return ctl
	}
	return err
}

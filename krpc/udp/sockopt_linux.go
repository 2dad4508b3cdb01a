package udp

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare says whether several sockets may share the load of one address.
const canShare = true

// prepare sets o on a socket that is not bound yet, so that no datagram
// arrives before its options hold.
func (o options) prepare(raw syscall.RawConn) error {
	if o.share {
		if err := setOption(raw, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	switch {
	case o.wildcard && o.v6:
		return setOption(raw, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	case o.wildcard:
		return setOption(raw, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return nil
}

// sharePort lets later sockets join conn, which is bound, on its address.
func sharePort(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return setOption(raw, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// setBuffers asks for buffers of the sizes given and takes what it gets: past
// net.core.rmem_max and wmem_max where CAP_NET_ADMIN allows it, else up to them.
func setBuffers(conn *net.UDPConn, receive, send int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	if setOption(raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive) != nil {
		_ = conn.SetReadBuffer(receive)
	}
	if setOption(raw, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, send) != nil {
		_ = conn.SetWriteBuffer(send)
	}
}

func setOption(raw syscall.RawConn, level, name, value int) error {
	var err error
	if ctl := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, name, value)
	}); ctl != nil {
		return ctl
	}
	if err != nil {
		return &net.OpError{Op: "setsockopt", Net: "udp", Err: err}
	}
	return nil
}

func newLink(conn *net.UDPConn, o options, cfg Config, c *counters) (link, error) {
	if cfg.plain {
		return newPlain(conn, cfg.BeforeSend, c), nil
	}
	return newBatched(conn, o, cfg.BeforeSend, c)
}

//go:build !linux

package udp

import (
	"errors"
	"net"
	"syscall"
)

// canShare says whether several sockets may share the load of one address.
// SO_REUSEPORT exists elsewhere, but only Linux spreads the datagrams.
const canShare = false

const canChooseSource = false

func (o options) prepare(syscall.RawConn) error { return nil }

func sharePort(*net.UDPConn) error { return errors.ErrUnsupported }

// setBuffers asks for buffers of the sizes given and settles for less: these
// systems refuse a size above their limit instead of granting the limit.
func setBuffers(conn *net.UDPConn, receive, send int) {
	const least = 64 << 10
	for receive >= least && conn.SetReadBuffer(receive) != nil {
		receive /= 2
	}
	for send >= least && conn.SetWriteBuffer(send) != nil {
		send /= 2
	}
}

func newLink(conn *net.UDPConn, _ options, cfg Config, c *counters) (link, error) {
	return newPlain(conn, cfg.BeforeSend, c), nil
}

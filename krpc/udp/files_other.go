//go:build !unix

package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
)

// canInherit says whether sockets can be handed from process to process as files.
const canInherit = false

func duplicate(*net.UDPConn, netip.AddrPort) (*os.File, error) { return nil, errors.ErrUnsupported }

func v6Only(*net.UDPConn) (bool, error) { return false, errors.ErrUnsupported }

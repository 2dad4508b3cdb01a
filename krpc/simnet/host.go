package simnet

import (
	"errors"
	"net"
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

var (
	errTooLong = errors.New("simnet: send: datagram longer than krpc.MaxDatagram")
	errAddress = errors.New("simnet: send: not a host's address")
	errFamily  = errors.New("simnet: send: address of the other family")
)

// Host is one end of the network: a socket on one address. It implements
// krpc.Transport, except that only the clock's goroutine may use it.
type Host struct {
	net     *Network
	addr    netip.AddrPort
	deliver krpc.PacketFunc
	link    *Link      // nil: the network's
	nat     *nat       // nil: directly on the network
	service *service   // nil: a quick host
	clock   krpc.Clock // nil: the network's
	down    bool
	closed  bool
}

var _ krpc.Transport = (*Host)(nil)

// LocalAddr implements krpc.Transport. Behind a NAT it is the private address.
func (h *Host) LocalAddr() netip.AddrPort { return h.addr }

// Send implements krpc.Transport. It copies b and returns before anything is
// delivered. The errors are those of a socket: net.ErrClosed, a datagram longer
// than krpc.MaxDatagram, or an address that this host cannot send to. Nothing
// that the network does to the datagram is an error.
func (h *Host) Send(to netip.AddrPort, b []byte) error {
	to = unmap(to)
	if err := h.refuses(to, b); err != nil {
		h.net.trace.stats.Refused++
		return err
	}
	h.net.send(h, to, b)
	return nil
}

func (h *Host) refuses(to netip.AddrPort, b []byte) error {
	switch {
	case h.closed:
		return net.ErrClosed
	case len(b) > krpc.MaxDatagram:
		return errTooLong
	case !isUnicast(to):
		return errAddress
	case to.Addr().Is4() != h.addr.Addr().Is4():
		return errFamily
	}
	return nil
}

// SetDeliver has what arrives from now on go to deliver: whatever has h as its transport is made
// after it.
func (h *Host) SetDeliver(deliver krpc.PacketFunc) { h.deliver = deliver }

// SetLink gives the datagrams that h sends conditions of their own, in place of
// the network's.
func (h *Host) SetLink(link Link) { h.link = &link }

// SetDown unplugs the host or plugs it in again. While it is down, what it
// sends and what arrives for it vanishes; nobody is told.
func (h *Host) SetDown(down bool) { h.down = down }

// Close detaches the host: what arrives for it vanishes, and it can send no
// more. Its address is free again, and a successor there gets the datagrams
// that are still on their way. Closing twice does nothing.
func (h *Host) Close() {
	if h.closed {
		return
	}
	h.closed = true
	if h.nat != nil {
		h.nat.close()
		return
	}
	delete(h.net.hosts, h.addr)
}

// outbox is the krpc.Outbox of all deliveries: since there is one at a time,
// one is enough. It is of use during a delivery only, and replies leave at once,
// from the host that is being delivered to.
type outbox struct {
	host *Host
	buf  [krpc.MaxDatagram]byte
}

// Buffer implements krpc.Outbox.
func (o *outbox) Buffer() []byte { return o.buf[:0] }

// Push implements krpc.Outbox.
func (o *outbox) Push(to netip.AddrPort, b []byte) {
	// A refused reply is counted by Send; a batch has nobody else to tell.
	_ = o.host.Send(to, b)
}

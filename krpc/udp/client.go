package udp

import (
	"errors"
	"net/netip"
	"os"
	"time"
)

// Client is a local UDP address in the hands of one goroutine, which asks and is
// answered in batches. Bound to an unspecified address it is every address of the
// host at once, where CanChooseSource: what is sent leaves from any of them, and
// what comes in says to which it was sent. Its methods are not safe for concurrent
// use.
type Client struct {
	socket *Socket
	link   link
}

// CanChooseSource tells whether a Client can send from an address of its choice,
// and tells to which one a datagram came. It is so on Linux.
const CanChooseSource = canChooseSource

// NewClient binds addr as Listen does.
func NewClient(addr netip.AddrPort, cfg Config) (*Client, error) {
	if cfg.Readers > 1 {
		return nil, errors.New("udp: client: a client is one reader")
	}
	s, err := Listen(addr, cfg)
	if err != nil {
		return nil, err
	}
	return &Client{s, s.links[0]}, nil
}

// LocalAddr returns the address bound. The port is never 0.
func (c *Client) LocalAddr() netip.AddrPort { return c.socket.local }

// Buffer returns an empty slice with a capacity of krpc.MaxDatagram to append one
// datagram to. It is valid until the next call to Push.
func (c *Client) Buffer() []byte { return c.link.Buffer() }

// Push queues b, which must begin where the last Buffer does, to be sent to to. It
// leaves from source, or from where the kernel chooses if that is the zero Addr or
// cannot be chosen. A full queue is sent at once.
func (c *Client) Push(source netip.Addr, to netip.AddrPort, b []byte) {
	c.link.leaveFrom(source)
	c.link.Push(to, b)
}

// Flush sends what was pushed and is not sent yet.
func (c *Client) Flush() { c.link.flush() }

// Receive returns the number of datagrams of one batch. If none is there it waits
// for one until deadline, and returns 0 then; the zero Time is over at once. What
// came before is no longer valid. An error of the kernel that is about one datagram
// is none.
func (c *Client) Receive(deadline time.Time) (int, error) {
	n, err := c.link.poll()
	if n == 0 && err == nil && !deadline.IsZero() {
		if err = c.socket.conns[0].SetReadDeadline(deadline); err == nil {
			n, err = c.link.receive()
		}
	}
	if err != nil && (errors.Is(err, os.ErrDeadlineExceeded) || classify(err) == classUnreachable) {
		return 0, nil
	}
	return n, err
}

// Datagram returns the i-th datagram of the last Receive, valid until the next.
// at is the address that it came to if the client is bound to an unspecified one,
// else the zero Addr. ok is false for one that exceeded krpc.MaxDatagram.
func (c *Client) Datagram(i int) (from netip.AddrPort, at netip.Addr, b []byte, ok bool) {
	from, b, ok = c.link.datagram(i)
	return from, c.link.arrivedAt(i), b, ok
}

// Stats returns the counters of what was sent; those of what was received stay 0.
func (c *Client) Stats() Stats { return c.socket.Stats() }

// Close closes the address.
func (c *Client) Close() error { return c.socket.Close() }

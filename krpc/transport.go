package krpc

import (
	"net/netip"
	"time"
)

const (
	// MaxDatagram is the largest datagram that is read or written, in bytes. It
	// leaves room for the BEP 44 values and for senders that exceed MaxReply.
	MaxDatagram = 2048

	// MaxReply is the largest datagram sent, in bytes, except for replies that
	// carry a BEP 44 value (BEP 32, "Maximum packet size").
	MaxReply = 1024
)

// Transport sends datagrams from one local address. It is safe for concurrent
// use. krpc/udp and krpc/simnet implement it. See Strainer for what it may tell besides.
type Transport interface {
	// Send transmits one datagram: a query, or a reply that had to wait (see ErrUnproven) and
	// acknowledges nothing. It does not keep b and never delivers a
	// datagram before it returns. An error says that the datagram did not leave;
	// nil does not say that it will arrive.
	Send(to netip.AddrPort, b []byte) error
	// LocalAddr returns the address listened on; its IP may be unspecified.
	LocalAddr() netip.AddrPort
}

// Outbox collects the replies to the datagrams of one received batch. It
// belongs to the goroutine that delivers them and is not safe for others.
type Outbox interface {
	// Buffer returns an empty slice with a capacity of MaxDatagram to append
	// one datagram to. It is valid until the next call to Push.
	Buffer() []byte
	// Push queues b, which must begin where the last Buffer does, to be sent
	// from the address at which the datagram being delivered arrived.
	Push(to netip.AddrPort, b []byte)
}

// PacketFunc takes one datagram. b belongs to the caller again once the
// function returns. from is never an IPv4-mapped IPv6 address.
type PacketFunc func(now time.Time, from netip.AddrPort, b []byte, out Outbox)

package udp

import "sync/atomic"

// Stats counts what happened on a Socket since Listen.
type Stats struct {
	PacketsIn  uint64 // datagrams delivered
	BytesIn    uint64 // their payload
	PacketsOut uint64 // datagrams that the kernel took
	BytesOut   uint64 // their payload

	Truncated     uint64 // datagrams received of more than krpc.MaxDatagram bytes, dropped
	Martians      uint64 // datagrams received from a source that no reply can reach, dropped
	Unreachable   uint64 // errors by ICMP or for want of a route, in either direction
	Overflows     uint64 // datagrams that the kernel dropped, for want of room in the receive buffer or because queries were refused; until Close, on Linux
	ReceiveErrors uint64 // other errors while receiving
	SendDrops     uint64 // datagrams dropped because the send buffer or a queue was full
	SendErrors    uint64 // datagrams not sent for other reasons

	ReceiveRoom uint64  // bytes of memory that what waits for the readers may take, twice the size asked for if it was granted; until Close, on Linux
	Refusing    float64 // the share of strangers' queries that the kernel is told to drop now, by the reader that has it drop most
}

// counters are the live Stats. The readers add to those of the regular path
// once a batch.
type counters struct {
	packetsIn, bytesIn, packetsOut, bytesOut          atomic.Uint64
	truncated, martians                               atomic.Uint64
	unreachable, receiveErrors, sendDrops, sendErrors atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		PacketsIn:     c.packetsIn.Load(),
		BytesIn:       c.bytesIn.Load(),
		PacketsOut:    c.packetsOut.Load(),
		BytesOut:      c.bytesOut.Load(),
		Truncated:     c.truncated.Load(),
		Martians:      c.martians.Load(),
		Unreachable:   c.unreachable.Load(),
		ReceiveErrors: c.receiveErrors.Load(),
		SendDrops:     c.sendDrops.Load(),
		SendErrors:    c.sendErrors.Load(),
	}
}

// unsent counts datagrams that an error of class k kept from leaving.
func (c *counters) unsent(k class, datagrams int) {
	switch k {
	case classUnreachable:
		c.unreachable.Add(uint64(datagrams))
	case classFull:
		c.sendDrops.Add(uint64(datagrams))
	default:
		c.sendErrors.Add(uint64(datagrams))
	}
}

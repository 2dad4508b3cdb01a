package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// plain is the link of systems without batched calls: a batch is one datagram,
// and a reply leaves as soon as it is pushed.
type plain struct {
	conn       *net.UDPConn
	beforeSend func() // may be nil
	counters   *counters

	from netip.AddrPort
	n    int
	in   [krpc.MaxDatagram + 1]byte // one more, to notice what is too long
	out  [krpc.MaxDatagram]byte
}

func newPlain(conn *net.UDPConn, beforeSend func(), c *counters) *plain {
	return &plain{conn: conn, beforeSend: beforeSend, counters: c}
}

func (p *plain) receive() (int, error) {
	var err error
	p.n, p.from, err = p.conn.ReadFromUDPAddrPort(p.in[:])
	if err != nil {
		return 0, err
	}
	return 1, nil
}

func (p *plain) datagram(int) (netip.AddrPort, []byte, bool) {
	return p.from, p.in[:p.n:p.n], p.n <= krpc.MaxDatagram
}

// Buffer implements krpc.Outbox.
func (p *plain) Buffer() []byte { return p.out[:0] }

// Push implements krpc.Outbox.
func (p *plain) Push(to netip.AddrPort, b []byte) {
	if !sendable(b) {
		p.counters.sendErrors.Add(1)
		return
	}
	if p.beforeSend != nil {
		p.beforeSend()
	}
	_ = p.send(to, b) // which counts the error
}

func (p *plain) flush() {}

// pollWait is how long poll waits, since a deadline that is over ends a read also
// when there is something to read.
const pollWait = 100 * time.Microsecond

func (p *plain) poll() (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(pollWait)); err != nil {
		return 0, err
	}
	n, err := p.receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	return n, err
}

func (p *plain) backlog() float64 { return 0 }

func (p *plain) room() (bytes, overflows uint64) { return 0, 0 }

func (p *plain) refuse(int, *krpc.Preferred) {}

func (p *plain) arrivedAt(int) netip.Addr { return netip.Addr{} }

func (p *plain) leaveFrom(netip.Addr) {}

func (p *plain) send(to netip.AddrPort, b []byte) error {
	err := p.trySend(to, b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Where there is more to do than time, a deadline may be over before the first try.
		err = p.trySend(to, b)
	}
	if err != nil {
		k := classify(err)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			k = classFull
		}
		p.counters.unsent(k, 1)
		return err
	}
	p.counters.packetsOut.Add(1)
	p.counters.bytesOut.Add(uint64(len(b)))
	return nil
}

// trySend waits for room in the send buffer for sendWait at most. The deadline is never
// cleared, since each write sets its own.
func (p *plain) trySend(to netip.AddrPort, b []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return err
	}
	_, err := p.conn.WriteToUDPAddrPort(b, to)
	return err
}

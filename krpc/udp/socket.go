// Package udp is the network side of krpc in production: UDP sockets that read
// and answer datagrams in batches.
//
// On Linux a batch is up to 64 datagrams read by one recvmmsg and answered by
// one sendmmsg, at the cost of the same loop in C; other systems read and write
// one datagram a call behind the same interface. This package owns the only
// goroutines of the packet path: one reader a kernel socket, which Close waits
// for. Nothing that the kernel reports ends a reader; it is counted in Stats.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// batchLen is the number of datagrams of one batch. From 64 on, the cost of
	// the system call no longer shows beside that of the datagrams.
	batchLen = 64

	// sendWait bounds how long a reader waits for room in a full send buffer.
	// Longer, and the receive buffer overflows in its stead.
	sendWait = 10 * time.Millisecond

	// defaultReceiveBuffer is asked of the kernel, in bytes: what a reader needs that is off its core
	// for 30 ms at 500 000 datagrams a second. What waits in it is read within 15 ms, or 70 if all of
	// it is answered by half of a core.
	defaultReceiveBuffer = 6 << 20
	defaultSendBuffer    = 4 << 20

	// maxReaders bounds Config.Readers: each costs about 300 KiB of buffers.
	maxReaders = 256
)

// Config tunes a Socket. Its zero value is ready to use.
type Config struct {
	// Readers is the number of kernel sockets that share the address by
	// SO_REUSEPORT, each read by a goroutine of its own: 0 to 256, where 0
	// means 1. More than one is an error on systems other than Linux.
	Readers int
	// ReceiveBuffer and SendBuffer are the sizes in bytes asked of the kernel
	// for each socket; 0 means 6 and 4 MiB. The kernel may grant less.
	ReceiveBuffer int
	SendBuffer    int
	// BeforeSend is called by a reader when replies are about to leave, once a batch
	// as a rule, so that what they acknowledge can be written down first. It may
	// block, and is called by several readers at the same time. Socket.Send neither
	// calls it nor waits for it. nil: nothing is called.
	BeforeSend func()

	plain bool // read and write one datagram a call, for tests
}

func (c Config) withDefaults() Config {
	if c.Readers == 0 {
		c.Readers = 1
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = defaultReceiveBuffer
	}
	if c.SendBuffer == 0 {
		c.SendBuffer = defaultSendBuffer
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Readers < 0 || c.Readers > maxReaders:
		return fmt.Errorf("udp: config: readers %d: want 0 to %d", c.Readers, maxReaders)
	case c.Readers > 1 && !canShare:
		return fmt.Errorf("udp: config: readers %d: %w", c.Readers, errors.ErrUnsupported)
	case c.ReceiveBuffer < 0 || c.SendBuffer < 0:
		return fmt.Errorf("udp: config: buffers of %d and %d bytes: want 0 or more",
			c.ReceiveBuffer, c.SendBuffer)
	}
	return nil
}

// Socket is a local UDP address, of one family. It is a krpc.Transport. All its
// methods are safe for concurrent use.
//
// Bound to an unspecified address, a Socket answers from the address that the
// query came to (on Linux; elsewhere from the one that the route to the client
// prefers, so bind to a specific address on a host that has several).
type Socket struct {
	local    netip.AddrPort
	conns    []*net.UDPConn
	links    []link // one for each of conns
	counters counters
	strained atomic.Int32 // readers that are, see Strained
	refusals []*refusal   // one for each of links
	// preferred tells whose queries are not refused; nil: nobody's.
	preferred func(now time.Time) *krpc.Preferred

	readers   sync.WaitGroup
	done      chan struct{} // closed when Stop begins
	stopOnce  sync.Once
	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex // orders Serve and Stop
	serving bool
}

var (
	_ krpc.Transport = (*Socket)(nil)
	_ krpc.Strainer  = (*Socket)(nil)
)

// link is one kernel socket and the buffers of the reader that owns it. Only
// send may be called by other goroutines.
type link interface {
	krpc.Outbox
	// receive waits for datagrams and returns their number.
	receive() (int, error)
	// datagram returns the i-th datagram received; what is pushed until the
	// next call answers it. It returns false for one that was cut off.
	datagram(i int) (from netip.AddrPort, b []byte, ok bool)
	// flush sends what was pushed and is not sent yet.
	flush()
	// poll is receive, but returns 0 where that would wait for long.
	poll() (int, error)
	// backlog returns the share of the receive buffer that is waiting to be read, 0 where the
	// system does not tell.
	backlog() float64
	// room returns the size of the receive buffer, as the kernel counts, and how many datagrams it
	// has dropped on the way there; 0 where the system does not tell. Any goroutine may call it.
	room() (bytes, overflows uint64)
	// refuse has the kernel drop all queries but one in 2^level, and those of sources that are
	// preferred if p is not nil, instead of taking them in, where the system can. 0 ends that.
	refuse(level int, p *krpc.Preferred)
	// arrivedAt returns the address that the i-th datagram came to, if the kernel
	// has said so.
	arrivedAt(i int) netip.Addr
	// leaveFrom has the next pushes leave from source, if it can be chosen, and
	// from where the kernel wants if it is the zero Addr.
	leaveFrom(source netip.Addr)
	// send transmits one sendable datagram at once, and counts it either way.
	send(to netip.AddrPort, b []byte) error
}

// sendable says whether b has a length that is ever sent.
func sendable(b []byte) bool { return len(b) > 0 && len(b) <= krpc.MaxDatagram }

// options are what a kernel socket is told before it is bound.
type options struct {
	v6       bool
	wildcard bool // report the address that each datagram came to
	share    bool // join the sockets already bound to the address
}

func newSocket(local netip.AddrPort) *Socket {
	return &Socket{local: local, done: make(chan struct{})}
}

// Listen binds addr; its port may be 0 to have the kernel choose one. An IPv6
// address takes IPv6 only, so that an IPv4 socket can have the same port.
// An address that is in use is an error, also with several readers.
func Listen(addr netip.AddrPort, cfg Config) (*Socket, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := newSocket(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
	for range cfg.Readers {
		if err := s.bind(cfg); err != nil {
			s.Close()
			return nil, fmt.Errorf("udp: %w", err)
		}
	}
	return s, nil
}

// bind opens one more kernel socket on s.local. The first one binds alone, so
// that it fails when another process has the port, shared or not; only then
// does it let its siblings in.
func (s *Socket) bind(cfg Config) error {
	first, ip := len(s.conns) == 0, s.local.Addr()
	o := options{v6: ip.Is6(), wildcard: ip.IsUnspecified(), share: !first}
	network := "udp4"
	if o.v6 {
		network = "udp6" // sets IPV6_V6ONLY
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return o.prepare(raw)
	}}
	pc, err := lc.ListenPacket(context.Background(), network, s.local.String())
	if err != nil {
		return err
	}
	conn := pc.(*net.UDPConn)
	if first {
		s.local = boundTo(conn)
	}
	return s.add(conn, o, cfg)
}

// add makes conn, which is bound to s.local, one more kernel socket of s. Close
// closes it, also after an error.
func (s *Socket) add(conn *net.UDPConn, o options, cfg Config) error {
	s.conns = append(s.conns, conn)
	if !o.share && cfg.Readers > 1 {
		if err := sharePort(conn); err != nil {
			return err
		}
	}
	setBuffers(conn, cfg.ReceiveBuffer, cfg.SendBuffer)
	l, err := newLink(conn, o, cfg, &s.counters)
	if err != nil {
		return err
	}
	s.addLink(l)
	return nil
}

func (s *Socket) addLink(l link) {
	s.links = append(s.links, l)
	s.refusals = append(s.refusals, &refusal{link: l, preferred: s.choose})
}

// boundTo returns the address of conn.
func boundTo(conn *net.UDPConn) netip.AddrPort {
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
}

// LocalAddr implements krpc.Transport. The port is the one bound, never 0.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Send implements krpc.Transport. b must hold 1 to krpc.MaxDatagram bytes. It
// never waits for room in the send buffer: when that is full, the datagram is
// dropped and the error says so. A zone in to is cheap when it is a number; a
// name costs a look at the interfaces.
func (s *Socket) Send(to netip.AddrPort, b []byte) error {
	if !sendable(b) {
		s.counters.sendErrors.Add(1)
		return fmt.Errorf("udp: send: %d bytes: want 1 to %d", len(b), krpc.MaxDatagram)
	}
	if err := s.links[0].send(to, b); err != nil {
		return fmt.Errorf("udp: send: %w", err)
	}
	return nil
}

// Stats returns the counters of s, each read on its own.
func (s *Socket) Stats() Stats {
	st := s.counters.snapshot()
	for i, l := range s.links {
		bytes, overflows := l.room()
		st.ReceiveRoom += bytes
		st.Overflows += overflows
		st.Refusing = max(st.Refusing, s.refusals[i].share())
	}
	return st
}

// Stop ends the readers and waits for them. All that they have read is delivered,
// and the replies have left; what is not read stays in the kernel's queues, for
// whoever shares the socket by Files. Send still works. Stop may be called any
// number of times, but neither by the PacketFunc nor by Config.BeforeSend, which
// it would wait for.
func (s *Socket) Stop() {
	s.stopOnce.Do(func() {
		s.mu.Lock()
		close(s.done)
		s.mu.Unlock()
		for _, c := range s.conns {
			// Wakes the reader and leaves it the socket to flush to.
			c.SetReadDeadline(time.Unix(1, 0))
		}
	})
	s.readers.Wait()
}

// Close stops as Stop does and closes the address. It may be called any number of
// times, but not by whom Stop may not be called.
func (s *Socket) Close() error {
	s.Stop()
	s.closeOnce.Do(func() {
		for _, c := range s.conns {
			if err := c.Close(); err != nil {
				s.closeErr = errors.Join(s.closeErr, fmt.Errorf("udp: close: %w", err))
			}
		}
	})
	return s.closeErr
}

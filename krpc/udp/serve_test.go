package udp

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// scriptedLink is a link whose receive returns what next does; each datagram
// comes from the next of froms.
type scriptedLink struct {
	plain
	next  func() (int, error)
	froms []netip.AddrPort
}

func (l *scriptedLink) receive() (int, error) { return l.next() }

func (l *scriptedLink) datagram(i int) (netip.AddrPort, []byte, bool) {
	return l.froms[i], []byte("x"), true
}

func scriptedSocket(l link) *Socket {
	s := newSocket(netip.AddrPort{})
	s.addLink(l)
	return s
}

func TestReceiveErrorsAreOutlasted(t *testing.T) {
	refused := &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}
	for _, tc := range []struct {
		name  string
		err   error
		rests bool
		want  Stats
	}{
		{"icmp", refused, false, Stats{Unreachable: 1000}},
		{"no route", syscall.EHOSTUNREACH, false, Stats{Unreachable: 1000}},
		{"no memory", syscall.ENOMEM, true, Stats{ReceiveErrors: 1000}},
		{"broken", errors.New("broken"), true, Stats{ReceiveErrors: 1000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), 0
				s := scriptedSocket(&scriptedLink{next: func() (int, error) {
					if calls++; calls > 1000 {
						return 0, net.ErrClosed
					}
					return 0, tc.err
				}})
				s.Serve(echo)
				s.readers.Wait()
				if got := s.Stats(); got != tc.want {
					t.Errorf("stats %+v, want %+v", got, tc.want)
				}
				want := time.Duration(0)
				if tc.rests {
					want = 1000 * errorPause
				}
				if took := time.Since(began); took != want {
					t.Errorf("1000 errors took %v, want %v", took, want)
				}
			})
		})
	}
}

func TestCloseInterruptsTheRestAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scriptedSocket(&scriptedLink{next: func() (int, error) { return 0, syscall.EIO }})
		s.Serve(echo)
		synctest.Wait()
		began := time.Now()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("close took %v", took)
		}
	})
}

func TestMartianSourcesAreDropped(t *testing.T) {
	l := &scriptedLink{froms: []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:0"),
		netip.MustParseAddrPort("[::ffff:192.0.2.1]:6881"),
		netip.MustParseAddrPort("192.0.2.1:6881"),
	}}
	l.next = func() (int, error) {
		l.next = func() (int, error) { return 0, net.ErrClosed }
		return len(l.froms), nil
	}
	s := scriptedSocket(l)
	var delivered []netip.AddrPort
	s.Serve(func(_ time.Time, from netip.AddrPort, _ []byte, _ krpc.Outbox) {
		delivered = append(delivered, from)
	})
	s.readers.Wait()
	if len(delivered) != 1 || delivered[0] != l.froms[2] {
		t.Errorf("delivered %v, want %v", delivered, l.froms[2])
	}
	if got, want := s.Stats(), (Stats{Martians: 2, PacketsIn: 1, BytesIn: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// What was read is taken out of the kernel's queue, where nobody else can find it.
func TestBatchReadWhileClosingIsDelivered(t *testing.T) {
	l := &scriptedLink{froms: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:6881")}}
	s := scriptedSocket(l)
	l.next = func() (int, error) {
		l.next = func() (int, error) { return 0, net.ErrClosed }
		close(s.done) // as Stop does, between the read and the delivery
		return len(l.froms), nil
	}
	delivered := 0
	s.Serve(func(time.Time, netip.AddrPort, []byte, krpc.Outbox) { delivered++ })
	s.readers.Wait()
	if delivered != 1 {
		t.Errorf("%d datagrams delivered, want the 1 that was read", delivered)
	}
}

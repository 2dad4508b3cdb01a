package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func TestEcho(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		if s.LocalAddr().Addr() != ip || s.LocalAddr().Port() == 0 {
			t.Fatalf("local address %v, want %v and the port bound", s.LocalAddr(), ip)
		}
		s.Serve(echo)

		const datagrams, window = 1000, 50
		c := newClient(t, ip)
		seen := make([]bool, datagrams)
		for i := range datagrams {
			c.send(s.LocalAddr(), binary.BigEndian.AppendUint32(nil, uint32(i)))
			if i%window != window-1 {
				continue
			}
			for range window {
				from, b := c.receive()
				if from != s.LocalAddr() {
					t.Fatalf("reply from %v, want %v", from, s.LocalAddr())
				}
				seen[binary.BigEndian.Uint32(b)] = true
			}
		}
		for i, ok := range seen {
			if !ok {
				t.Errorf("datagram %d was not answered", i)
			}
		}

		s.Close()
		want := Stats{
			PacketsIn: datagrams, BytesIn: 4 * datagrams,
			PacketsOut: datagrams, BytesOut: 4 * datagrams,
		}
		if got := s.Stats(); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestDeliveredAddressIsThatOfTheSender(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		c := newClient(t, ip)
		before := time.Now()
		froms := make(chan netip.AddrPort, 1)
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			if now.Before(before) || now.After(time.Now()) {
				t.Errorf("delivered at %v, which is not now", now)
			}
			froms <- from
			echo(now, from, b, out)
		})
		c.expectEcho(s.LocalAddr(), []byte("who am I"))
		if from := <-froms; from != c.addr() {
			t.Errorf("delivered from %v, want %v", from, c.addr())
		}
	})
}

func TestManyRepliesToOneDatagram(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		const replies = 3*batchLen + 7
		s.Serve(func(_ time.Time, from netip.AddrPort, _ []byte, out krpc.Outbox) {
			for i := range replies {
				b := out.Buffer()
				if len(b) != 0 || cap(b) != krpc.MaxDatagram {
					t.Errorf("buffer of length %d and capacity %d", len(b), cap(b))
				}
				out.Push(from, binary.BigEndian.AppendUint32(b, uint32(i)))
			}
		})
		c := newClient(t, ip)
		c.send(s.LocalAddr(), []byte("go"))
		missing := map[uint32]bool{} // also loopback reorders, between processors
		for i := range uint32(replies) {
			missing[i] = true
		}
		for range replies {
			_, b := c.receive()
			delete(missing, binary.BigEndian.Uint32(b))
		}
		if len(missing) > 0 {
			t.Errorf("%d replies were overwritten before they left", len(missing))
		}
	})
}

func TestDatagramSizes(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		s.Serve(echo)
		c := newClient(t, ip)
		payload := bytes.Repeat([]byte("kademlia"), 400)

		for _, n := range []int{1, 67, krpc.MaxDatagram - 1, krpc.MaxDatagram} {
			c.expectEcho(s.LocalAddr(), payload[:n])
		}
		for _, n := range []int{krpc.MaxDatagram + 1, 3000} {
			c.send(s.LocalAddr(), payload[:n])
		}
		c.expectEcho(s.LocalAddr(), payload[:100])

		s.Close()
		if got := s.Stats(); got.Truncated != 2 || got.PacketsIn != 5 || got.ReceiveErrors != 0 {
			t.Errorf("stats %+v, want 2 truncated and 5 in", got)
		}
	})
}

func TestSend(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		c := newClient(t, ip)
		const senders, each = 8, 25
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range each {
					if err := s.Send(c.addr(), []byte("query")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for range senders * each {
			if from, b := c.receive(); from != s.LocalAddr() || string(b) != "query" {
				t.Fatalf("%q from %v, want a query from %v", b, from, s.LocalAddr())
			}
		}
		if got := s.Stats(); got.PacketsOut != senders*each || got.BytesOut != 5*senders*each {
			t.Errorf("stats %+v, want %d out", got, senders*each)
		}
	})
}

func TestSendRefusesWhatCannotLeave(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		other := netip.AddrPortFrom(loopback6, 9)
		if ip.Is6() {
			other = netip.AddrPortFrom(loopback4, 9)
		}
		self, fine := s.LocalAddr(), make([]byte, 100)
		for name, err := range map[string]error{
			"empty datagram": s.Send(self, nil),
			"long datagram":  s.Send(self, make([]byte, krpc.MaxDatagram+1)),
			"other family":   s.Send(other, fine),
			"no address":     s.Send(netip.AddrPort{}, fine),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		// Package net maps an IPv4 address into IPv6, where there is no route to it.
		if got := s.Stats(); got.SendErrors+got.Unreachable != 4 || got.PacketsOut != 0 {
			t.Errorf("stats %+v, want 4 send errors", got)
		}
	})
}

func TestPushRefusesWhatCannotLeave(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			out.Push(from, out.Buffer())
			out.Push(from, make([]byte, krpc.MaxDatagram+1))
			out.Push(netip.AddrPort{}, append(out.Buffer(), 'x'))
			out.Push(netip.AddrPortFrom(from.Addr(), 0), append(out.Buffer(), 'x'))
			echo(now, from, b, out)
		})
		newClient(t, ip).expectEcho(s.LocalAddr(), []byte("and yet it answers"))
		s.Close()
		if got := s.Stats(); got.SendErrors != 4 || got.PacketsOut != 1 {
			t.Errorf("stats %+v, want 4 send errors and 1 out", got)
		}
	})
}

func TestClosedPortDoesNotStopServing(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		nobody := closedPort(t, ip)
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			out.Push(nobody, append(out.Buffer(), b...))
			echo(now, from, b, out)
		})
		c := newClient(t, ip)
		for range 100 {
			if err := s.Send(nobody, []byte("anyone?")); err != nil {
				t.Fatal(err)
			}
			c.expectEcho(s.LocalAddr(), []byte("still there?"))
		}
	})
}

func TestCloseFlushesTheBatchInHand(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		s := listen(t, ip, cfg)
		delivered := make(chan struct{})
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			echo(now, from, b, out)
			close(delivered)
			<-s.done
		})
		c := newClient(t, ip)
		c.send(s.LocalAddr(), []byte("last words"))
		<-delivered
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, b := c.receive(); string(b) != "last words" {
			t.Errorf("reply %q", b)
		}
	})
}

func TestCloseUnderLoad(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		before := runtime.NumGoroutine()
		s := listen(t, ip, cfg)
		s.Serve(echo)
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 2 {
			c := newClient(t, ip)
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						// Refused once s is closed, which is no failure.
						c.conn.WriteToUDPAddrPort([]byte("load"), s.LocalAddr())
					}
				}
			})
			c.receive() // the load is on
		}

		began := time.Now()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		closers.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("close took %v", took)
		}
		close(stop)
		load.Wait()
		expectError(t, s.Send(s.LocalAddr(), []byte("late")), net.ErrClosed)
		expectGoroutines(t, before)
	})
}

// expectGoroutines waits for goroutines that have nothing left to do to be gone.
func expectGoroutines(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > want; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, want %d", runtime.NumGoroutine(), want)
		}
	}
}

func TestServeAndCloseInAnyOrder(t *testing.T) {
	listen(t, loopback4, Config{}) // closed by the cleanup, never served

	s := listen(t, loopback4, Config{})
	s.Close()
	s.Serve(echo)

	s = listen(t, loopback4, Config{})
	s.Serve(echo)
	defer func() {
		if recover() == nil {
			t.Error("second Serve: no panic")
		}
	}()
	s.Serve(echo)
}

func TestListenErrors(t *testing.T) {
	taken := listen(t, loopback4, Config{}).LocalAddr()
	_, err := Listen(taken, Config{})
	expectError(t, err, syscall.EADDRINUSE)

	free := netip.AddrPortFrom(loopback4, 0)
	for _, bad := range []Config{{Readers: -1}, {Readers: 257}, {ReceiveBuffer: -1}, {SendBuffer: -1}} {
		if _, err := Listen(free, bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if _, err := Listen(netip.AddrPort{}, Config{}); err == nil {
		t.Error("invalid address: no error")
	}
	if !canShare {
		_, err := Listen(free, Config{Readers: 2})
		expectError(t, err, errors.ErrUnsupported)
	}
}

func TestBothFamiliesOnOnePort(t *testing.T) {
	needIPv6(t)
	v4 := listen(t, netip.IPv4Unspecified(), Config{})
	v6, err := Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), v4.LocalAddr().Port()), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer v6.Close()
	v4.Serve(echo)
	v6.Serve(echo)
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		newClient(t, ip).expectEcho(netip.AddrPortFrom(ip, v4.LocalAddr().Port()), []byte("same port"))
	}
	v4.Close()
	v6.Close()
	if v4.Stats().PacketsIn != 1 || v6.Stats().PacketsIn != 1 {
		t.Errorf("in: %d and %d, want 1 each", v4.Stats().PacketsIn, v6.Stats().PacketsIn)
	}
}

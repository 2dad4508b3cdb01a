package udp

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// No reply leaves before the hook has been called for it, and the hook is called once
// for all that leave together.
func TestBeforeSendComesBeforeEachBatch(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		var s *Socket
		var left []uint64 // replies that had left at each call
		cfg.BeforeSend = func() { left = append(left, s.Stats().PacketsOut) }
		s = listen(t, ip, cfg)
		const replies = 2*batchLen + 7
		s.Serve(func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			for range replies {
				out.Push(from, append(out.Buffer(), b...))
			}
		})
		c := newClient(t, ip)
		c.send(s.LocalAddr(), []byte("go"))
		for range replies {
			c.receive()
		}
		s.Close()

		want := []uint64{0, batchLen, 2 * batchLen}
		if _, plain := s.links[0].(*plain); plain {
			want = want[:0]
			for i := range uint64(replies) {
				want = append(want, i)
			}
		}
		if !slices.Equal(left, want) {
			t.Errorf("called when %v replies had left, want %v", left, want)
		}
	})
}

func TestBeforeSendIsNotCalledForNothing(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		var calls atomic.Int64
		cfg.BeforeSend = func() { calls.Add(1) }
		s := listen(t, ip, cfg)
		s.Serve(func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			if string(b) == "answer me" {
				echo(now, from, b, out)
			}
		})
		c := newClient(t, ip)
		for range 100 {
			c.send(s.LocalAddr(), []byte("for your information"))
		}
		if err := s.Send(c.addr(), []byte("a query of our own")); err != nil {
			t.Error(err)
		}
		c.receive()
		c.expectEcho(s.LocalAddr(), []byte("answer me"))
		if n := calls.Load(); n != 1 {
			t.Errorf("called %d times, want once", n)
		}
	})
}

// A disk that hangs holds back the replies, and nothing else.
func TestSendDoesNotWaitForBeforeSend(t *testing.T) {
	eachPath(t, func(t *testing.T, ip netip.Addr, cfg Config) {
		entered, written := make(chan struct{}), make(chan struct{})
		cfg.BeforeSend = func() {
			close(entered)
			<-written
		}
		s := listen(t, ip, cfg)
		s.Serve(echo)
		c := newClient(t, ip)
		c.send(s.LocalAddr(), []byte("the reply"))
		<-entered
		if err := s.Send(c.addr(), []byte("a query")); err != nil {
			t.Error(err)
		}
		if _, b := c.receive(); string(b) != "a query" {
			t.Errorf("received %q", b)
		}
		close(written)
		if _, b := c.receive(); string(b) != "the reply" {
			t.Errorf("received %q", b)
		}
	})
}

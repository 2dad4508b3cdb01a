package udp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// A socket to which more comes than its reader takes says so, until all is read.
func TestSocketSaysThatItIsStrained(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	s, err := Listen(local, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := func() *Client {
		c, err := NewClient(local, Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	send := func(c *Client, n int) {
		for range n {
			c.Push(netip.Addr{}, s.LocalAddr(), append(c.Buffer(), 1))
		}
	}
	first, echo := client(), client() // a client is of one goroutine
	strained := make(chan struct{})
	said := false
	s.Serve(func(time.Time, netip.AddrPort, []byte, krpc.Outbox) {
		switch {
		case said:
		case s.Strained():
			said = true
			close(strained)
		default:
			send(echo, batchLen) // for one that is read
		}
	})
	send(first, 1)
	first.Flush()
	wait := time.After(5 * time.Second)
	select {
	case <-strained:
	case <-wait:
		t.Fatal("it never says so")
	}
	for s.Strained() {
		select {
		case <-wait:
			t.Fatal("it says so for ever")
		case <-time.After(time.Millisecond): // it is being read
		}
	}
}

// Who asks for less room than any kernel refuses gets it, for each reader.
func TestRoomIsWhatTheKernelGrants(t *testing.T) {
	const size = 128 << 10
	for _, readers := range []int{1, 3} {
		s := listen(t, loopback4, Config{Readers: readers, ReceiveBuffer: size})
		if got, want := s.Stats().ReceiveRoom, uint64(readers*2*size); got != want {
			t.Errorf("%d readers: room of %d bytes, want %d", readers, got, want)
		}
	}
}

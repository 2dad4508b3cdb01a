package udp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// While queries are refused, replies and errors come in, and what is refused is counted.
func TestRefusedQueriesAreNotTakenIn(t *testing.T) {
	const (
		query   = "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
		reply   = "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"
		bep42   = "d2:ip6:abcdef1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"
		failure = "d1:eli201e1:ee1:t2:aa1:y1:ee"
	)
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		if ip == loopback6 {
			needIPv6(t)
		}
		s, c := listen(t, ip, Config{}), newClient(t, ip)
		s.links[0].refuseQueries(true)
		for _, m := range []string{query, reply, query, bep42, failure} {
			c.send(s.LocalAddr(), []byte(m))
		}
		taken := make(chan string, 10)
		s.Serve(func(_ time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) { taken <- string(b) })
		expect := func(want string) {
			t.Helper()
			select {
			case got := <-taken:
				if got != want {
					t.Errorf("%v: took %q, want %q", ip, got, want)
				}
			case <-time.After(patience):
				t.Fatalf("%v: %q does not come", ip, want)
			}
		}
		expect(reply)
		expect(bep42)
		expect(failure)
		if n := s.Stats().Overflows; n != 2 {
			t.Errorf("%v: %d datagrams dropped, want 2", ip, n)
		}
		s.links[0].refuseQueries(false)
		c.send(s.LocalAddr(), []byte(query))
		expect(query)
	}
}

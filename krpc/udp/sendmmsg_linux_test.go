package udp

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// answer is what the kernel says to one sendmmsg.
type answer struct {
	sent  int
	errno syscall.Errno
}

// scripted returns a sendmmsg that gives answers in turn, the last for ever,
// and a record of how many datagrams each call offered.
func scripted(answers ...answer) (func(uintptr, []unix.Mmsghdr) (int, syscall.Errno), *[]int) {
	offered := new([]int)
	return func(_ uintptr, headers []unix.Mmsghdr) (int, syscall.Errno) {
		a := answers[min(len(*offered), len(answers)-1)]
		*offered = append(*offered, len(headers))
		return a.sent, a.errno
	}, offered
}

func TestFlush(t *testing.T) {
	all := answer{sent: 4}
	for _, tc := range []struct {
		name    string
		answers []answer
		offered []int
		want    Stats
	}{
		{"at once", []answer{all}, []int{4}, Stats{PacketsOut: 4, BytesOut: 12}},
		{"in parts", []answer{{sent: 1}, {sent: 2}, {sent: 1}}, []int{4, 3, 1},
			Stats{PacketsOut: 4, BytesOut: 12}},
		{"interrupted", []answer{{errno: syscall.EINTR}, all}, []int{4},
			Stats{PacketsOut: 4, BytesOut: 12}},
		{"one refused", []answer{{sent: 1}, {errno: syscall.EPERM}, {sent: 2}}, []int{4, 3, 2},
			Stats{PacketsOut: 3, BytesOut: 9, SendErrors: 1}},
		{"one unreachable", []answer{{errno: syscall.ENETUNREACH}, {sent: 3}}, []int{4, 3},
			Stats{PacketsOut: 3, BytesOut: 9, Unreachable: 1}},
		{"all refused", []answer{{errno: syscall.EPERM}}, []int{4, 3, 2, 1}, Stats{SendErrors: 4}},
		{"queue full", []answer{{sent: 1}, {errno: syscall.ENOBUFS}}, []int{4, 3},
			Stats{PacketsOut: 1, BytesOut: 3, SendDrops: 3}},
		{"buffer full for a moment", []answer{{sent: 1}, {errno: syscall.EAGAIN}, {sent: 3}},
			[]int{4, 3}, Stats{PacketsOut: 4, BytesOut: 12}},
		{"buffer full for long", []answer{{sent: 1}, {errno: syscall.EAGAIN}}, []int{4, 3},
			Stats{PacketsOut: 1, BytesOut: 3, SendDrops: 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := listen(t, loopback4, Config{})
			o := &s.links[0].(*batched).outbox
			var offered *[]int
			o.queue.call, offered = scripted(tc.answers...)
			for range 4 {
				o.Push(s.LocalAddr(), append(o.Buffer(), "abc"...))
			}
			began := time.Now()
			o.flush()
			if took := time.Since(began); took > 50*sendWait {
				t.Errorf("took %v", took)
			}
			// The netpoller may wake a writer more often than it must.
			if got := slices.Compact(*offered); !slices.Equal(got, tc.offered) {
				t.Errorf("offered %v, want %v", got, tc.offered)
			}
			if got := s.counters.snapshot(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
			if len(o.Buffer()) != 0 || o.queue.queued != 0 {
				t.Errorf("%d still queued", o.queue.queued)
			}
		})
	}
}

// A socket that was full must work again once the deadline of the wait is past.
func TestFlushRecoversAfterAFullBuffer(t *testing.T) {
	s := listen(t, loopback4, Config{})
	c := newClient(t, loopback4)
	o := &s.links[0].(*batched).outbox
	o.queue.call, _ = scripted(answer{errno: syscall.EAGAIN})
	o.Push(c.addr(), append(o.Buffer(), "dropped"...))
	o.flush()
	o.queue.call = sendmmsg
	o.Push(c.addr(), append(o.Buffer(), "sent"...))
	o.flush()
	if _, b := c.receive(); string(b) != "sent" {
		t.Errorf("received %q", b)
	}
}

func TestSendDoesNotWaitForAFullBuffer(t *testing.T) {
	s := listen(t, loopback4, Config{})
	sender := &s.links[0].(*batched).sender
	fill := sender.singles.New
	sender.singles.New = func() any {
		one := fill().(*single)
		one.queue.call, _ = scripted(answer{errno: syscall.EAGAIN})
		return one
	}
	expectError(t, s.Send(s.LocalAddr(), []byte("x")), syscall.EAGAIN)
	if got, want := s.counters.snapshot(), (Stats{SendDrops: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestSockaddr(t *testing.T) {
	for _, tc := range []struct {
		to    string
		v6    bool
		scope uint32
		want  int
	}{
		{"192.0.2.7:6881", false, 0, unix.SizeofSockaddrInet4},
		{"[2001:db8::7]:6881", true, 0, unix.SizeofSockaddrInet6},
		{"[fe80::7]:65535", true, 3, unix.SizeofSockaddrInet6},
		{"192.0.2.7:6881", true, 0, 0},
		{"[2001:db8::7]:6881", false, 0, 0},
		{"[::ffff:192.0.2.7]:6881", true, 0, 0},
	} {
		var a sockaddr
		to := netip.MustParseAddrPort(tc.to)
		if n := a.set(to, tc.scope, tc.v6); n != tc.want {
			t.Errorf("%s (v6 %v): length %d, want %d", tc.to, tc.v6, n, tc.want)
		} else if n > 0 {
			if got, scope := a.addrPort(); got != to || scope != tc.scope {
				t.Errorf("%s read back as %v, scope %d", tc.to, got, scope)
			}
		}
	}
}

// The reply goes by the interface that the query came by, whatever its zone is
// called, and anything else pushed by the one that its own zone names.
func TestReplyToLinkLocalKeepsTheInterface(t *testing.T) {
	needIPv6(t)
	o := &listen(t, loopback6, Config{}).links[0].(*batched).outbox
	from := netip.MustParseAddrPort("[fe80::1%gone]:6881")
	o.answering(from, 7, nil)
	for i, tc := range []struct {
		to   netip.AddrPort
		want uint32
	}{
		{from, 7},
		{netip.MustParseAddrPort("[fe80::1%3]:6881"), 3},
		{netip.MustParseAddrPort("[2001:db8::1]:6881"), 0},
	} {
		o.Push(tc.to, append(o.Buffer(), 'x'))
		if _, scope := o.queue.names[i].addrPort(); scope != tc.want {
			t.Errorf("%v: interface %d, want %d", tc.to, scope, tc.want)
		}
	}
}

func TestZones(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	var names zoneNames
	if got := names.name(uint32(lo.Index)); got != "lo" {
		t.Errorf("name of lo: %q", got)
	}
	if got := names.name(4000000000); got != "4000000000" {
		t.Errorf("name of no interface: %q", got)
	}
	for zone, want := range map[string]uint32{"lo": uint32(lo.Index), "7": 7} {
		if got, err := zoneIndex(zone); got != want || err != nil {
			t.Errorf("zone %q: %d, %v, want %d", zone, got, err, want)
		}
	}
	if _, err := zoneIndex("no such zone"); err == nil {
		t.Error("unknown zone: no error")
	}
}

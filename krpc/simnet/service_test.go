package simnet

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func TestSlowHostHandlesOneAfterTheOther(t *testing.T) {
	w := newWorld(1, Link{})
	a, slow := w.inbox(Addr(0)), w.inbox(Addr(1))
	slow.SetService(100*time.Millisecond, 3)
	for i := range 6 { // one is worked on, three wait
		send(t, a, Addr(1), strconv.Itoa(i))
	}
	w.clock.Run(time.Second)
	if len(slow.got) != 4 {
		t.Fatalf("got %v, want 4", slow.got)
	}
	for i, g := range slow.got {
		if want := (received{DefaultLatency + time.Duration(i+1)*100*time.Millisecond, Addr(0), strconv.Itoa(i)}); g != want {
			t.Errorf("%v, want %v", g, want)
		}
	}
	send(t, a, Addr(1), "when it has time again")
	slow.expect(t, "when it has time again")
	if s := w.Stats(); s.Overflowed != 2 || s.Delivered != 5 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSlowHostGoesDownWithItsQueue(t *testing.T) {
	w := newWorld(1, Link{})
	a, slow := w.inbox(Addr(0)), w.inbox(Addr(1))
	slow.SetService(100*time.Millisecond, 10)
	for range 3 {
		send(t, a, Addr(1), "x")
	}
	w.clock.Run(DefaultLatency + 150*time.Millisecond)
	slow.SetDown(true)
	w.clock.Run(100 * time.Millisecond)
	slow.Close()
	successor := w.inbox(Addr(1))
	successor.expect(t) // what waited at the first host is no business of this one
	if s := w.Stats(); len(slow.got) != 1 || s.HostDown != 1 || s.NoHost != 1 || s.InFlight != 0 {
		t.Errorf("%d handled, stats %+v", len(slow.got), s)
	}
}

func TestSlowHostBecomesQuick(t *testing.T) {
	w := newWorld(1, Link{})
	a, h := w.inbox(Addr(0)), w.inbox(Addr(1))
	h.SetService(time.Second, 0)
	send(t, a, Addr(1), "slow")
	w.clock.Run(DefaultLatency)
	h.SetService(0, 0)
	send(t, a, Addr(1), "quick")
	h.expect(t, "quick", "slow") // at the very end of the second
}

func TestSlowHostDoesNotAllocate(t *testing.T) {
	w := newWorld(1, Link{})
	a := w.Host(Addr(0), nil)
	got := 0
	h := w.Host(Addr(1), func(time.Time, netip.AddrPort, []byte, krpc.Outbox) { got++ })
	h.SetService(time.Millisecond, 100)
	round := func() {
		for range 50 {
			send(t, a, Addr(1), "")
		}
		w.clock.Run(time.Second)
	}
	round()
	if allocs := testing.AllocsPerRun(10, round); allocs > 0 {
		t.Errorf("%v allocations for 50 datagrams", allocs)
	}
	if got != 12*50 {
		t.Errorf("%d handled", got)
	}
}

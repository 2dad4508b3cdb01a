package sim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// A node that was down for a while has its id and its contacts again; one that starts anew at
// the same address has another id.
func TestNodeComesBack(t *testing.T) {
	w := build(t, Config{Nodes: 100})
	h := w.Hosts[10]
	id := h.ID()
	w.Kill(h)
	w.Clock.Run(10 * time.Minute)
	w.FailNames(time.Hour) // what it needs it has saved
	w.Revive(h, true)
	w.Clock.Run(10 * time.Second)
	if h.ID() != id || !h.Joined() || contacts(h) < 20 {
		t.Errorf("id %v, want %v; joined: %t, with %d contacts", h.ID(), id, h.Joined(), contacts(h))
	}
	w.Kill(h)
	w.Revive(h, false)
	w.Clock.Run(time.Minute)
	if h.ID() == id {
		t.Error("it has its id again")
	}
}

// Without names a new node waits, and joins soon after they can be resolved again.
func TestNodeJoinsWhenNamesAreBack(t *testing.T) {
	w := build(t, Config{Nodes: 50})
	const outage = 20 * time.Minute
	w.FailNames(outage)
	h := w.Grow()
	w.Clock.Run(outage)
	if contacts(h) != 0 {
		t.Fatal("it has found others")
	}
	if !w.Clock.RunUntil(h.Joined, 2*time.Minute) {
		t.Error("not joined two minutes after")
	}
}

// A node whose address has changed finds out, takes an id that fits, and is found there.
func TestNodeThatMovesFindsOut(t *testing.T) {
	w := build(t, Config{Nodes: 100})
	h := w.Hosts[10]
	w.Move(h)
	if kademlia.ValidID(h.ID(), h.Addr.Addr()) {
		t.Fatal("the old id fits by chance: take another seed")
	}
	w.Clock.Run(90 * time.Minute)
	if !kademlia.ValidID(h.ID(), h.Addr.Addr()) {
		t.Error("its id does not fit its address")
	}
	res := w.Lookup(w.Hosts[20], h.ID())
	if len(res.Closest) == 0 || res.Closest[0].NodeInfo != (krpc.NodeInfo{ID: h.ID(), Addr: h.Addr}) {
		t.Errorf("a lookup of its id ended at %v", res.Closest)
	}
}

// A world of clocks that are hours apart, drift and jump works like any other.
func TestClocksThatDisagree(t *testing.T) {
	var clocks []*simnet.HostClock
	w := build(t, Config{Nodes: 200, Clock: func(world *simnet.Clock, _ netip.AddrPort) krpc.Clock {
		i := len(clocks)
		c := simnet.NewHostClock(world, time.Duration(i%49-24)*time.Hour)
		c.SetRate([]float64{1, .99, 1.01, .8, 1.25}[i%5])
		clocks = append(clocks, c)
		return c
	}})
	measure(t, w, 200, .97)
	for i, c := range clocks {
		if i%4 == 0 {
			c.Jump(time.Duration(i) * time.Minute)
		}
	}
	w.Clock.Run(15 * time.Minute)
	measure(t, w, 200, .97)
}

// Slow hosts, a bad line that damages datagrams, and ways that are open in one direction: the
// network goes on, and repeats itself with all of them.
func TestWorldOfFaults(t *testing.T) {
	run := func() (*World, Report) {
		w := build(t, Config{Nodes: 200, Link: simnet.Link{Corrupt: .02, Loss: .01}})
		w.Net.Filter(simnet.OneWay(.02, *seed))
		for i, h := range w.Hosts {
			if i%10 == 0 {
				h.Net.SetService(50*time.Millisecond, 2)
			}
		}
		w.Clock.Run(30 * time.Minute)
		return w, w.MeasureLookups(200)
	}
	w, r := run()
	t.Log(r)
	// A query and its reply take two ways, so that of the closest nodes each asker cannot reach
	// one in 25.
	if r.Reached < .94 {
		t.Errorf("%.3f of the closest are reached", r.Reached)
	}
	if s := w.Net.Stats(); s.Corrupted == 0 || s.Filtered == 0 || s.Overflowed == 0 {
		t.Errorf("a fault did not happen: %+v", s)
	}
	if again, _ := run(); again.Net.TraceHash() != w.Net.TraceHash() {
		t.Error("the second run has another trace hash")
	}
}

func contacts(h *Host) int {
	s := h.Stats()
	return s.Nodes()
}

package simnet

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// alarms notes, by the world's clock, when timers go off, and what the host's clock shows.
type alarms struct {
	world *Clock
	host  *HostClock
	off   []time.Duration // by the world's clock
	shown []time.Duration // by the host's
}

func newAlarms(offset time.Duration) *alarms {
	world := NewClock(epoch)
	return &alarms{world: world, host: NewHostClock(world, offset)}
}

func (a *alarms) after(d time.Duration) krpc.Timer {
	return a.host.AfterFunc(d, func() {
		a.off = append(a.off, a.world.Now().Sub(epoch))
		a.shown = append(a.shown, a.host.Now().Sub(epoch))
	})
}

func (a *alarms) expect(t *testing.T, off, shown []time.Duration) {
	t.Helper()
	if !slices.Equal(a.off, off) || !slices.Equal(a.shown, shown) {
		t.Errorf("off at %v, want %v; the host's clock showed %v, want %v", a.off, off, a.shown, shown)
	}
	a.off, a.shown = nil, nil
}

type times = []time.Duration

const sec = time.Second

func TestHostClockRunsFastAndSlow(t *testing.T) {
	a := newAlarms(-time.Hour)
	a.after(2 * sec)
	a.after(0)
	a.world.Run(3 * sec)
	a.expect(t, times{0, 2 * sec}, times{-time.Hour, 2*sec - time.Hour})

	a.host.SetRate(2)
	a.after(2 * sec)
	a.after(8 * sec)
	a.world.Run(2 * sec)
	a.expect(t, times{4 * sec}, times{5*sec - time.Hour})

	a.host.SetRate(.5) // four of its seconds are left, which take eight
	a.world.Run(10 * sec)
	a.expect(t, times{13 * sec}, times{11*sec - time.Hour})
	if got := a.host.Now().Sub(epoch); got != 12*sec-time.Hour {
		t.Errorf("the host's clock shows %v", got)
	}
}

func TestHostClockJumps(t *testing.T) {
	a := newAlarms(0)
	a.after(30 * sec)
	a.after(10 * sec)
	a.after(100 * sec)
	a.world.Run(sec)
	a.host.Jump(time.Minute)
	a.world.Run(0)
	a.expect(t, times{sec, sec}, times{61 * sec, 61 * sec})
	a.world.Run(39 * sec)
	a.expect(t, times{40 * sec}, times{100 * sec})
	if n := a.world.Pending(); n != 0 {
		t.Errorf("%d events are left", n)
	}
}

func TestTimersOfAHostClockStopAndStartAgain(t *testing.T) {
	a := newAlarms(0)
	first, second := a.after(sec), a.after(2*sec)
	if !first.Stop() || first.Stop() || !second.Reset(5*sec) || a.world.Pending() != 1 {
		t.Errorf("pending: %d", a.world.Pending())
	}
	a.world.Run(4 * sec)
	a.expect(t, nil, nil)
	if first.Reset(3 * sec) {
		t.Error("a stopped timer was pending")
	}
	a.world.Run(4 * sec)
	a.expect(t, times{5 * sec, 7 * sec}, times{5 * sec, 7 * sec})
	if second.Stop() || a.world.Pending() != 0 {
		t.Error("a timer that went off is pending")
	}
}

// Over a year a clock of an odd rate is right to the microsecond, however often it is read.
func TestHostClockDoesNotDriftByRounding(t *testing.T) {
	a := newAlarms(0)
	a.host.SetRate(1.00001)
	var tick krpc.Timer
	n := 0
	tick = a.host.AfterFunc(0, func() { n++; tick.Reset(time.Hour) })
	year := 365 * 24 * time.Hour
	a.world.Run(year)
	want := year + year/100_000
	if off := a.host.Now().Sub(epoch) - want; off.Abs() > time.Microsecond {
		t.Errorf("off by %v after a year", off)
	}
	if n != 365*24+1 {
		t.Errorf("%d hours in a year", n)
	}
}

func TestHostSeesItsOwnTime(t *testing.T) {
	w := newWorld(1, Link{})
	a := w.inbox(Addr(0))
	clock := NewHostClock(w.clock, time.Hour)
	var seen time.Time
	w.Host(Addr(1), func(now time.Time, _ netip.AddrPort, _ []byte, _ krpc.Outbox) { seen = now }).SetClock(clock)
	send(t, a, Addr(1), "x")
	w.clock.Run(sec)
	if want := epoch.Add(time.Hour + DefaultLatency); !seen.Equal(want) {
		t.Errorf("delivered at %v, want %v", seen, want)
	}
}

func TestHostClockRefusesNonsense(t *testing.T) {
	a := newAlarms(0)
	for name, f := range map[string]func(){
		"rate 0":    func() { a.host.SetRate(0) },
		"jump back": func() { a.host.Jump(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

package simnet_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// asker is an endpoint whose queries go to hosts that only note when they come.
type asker struct {
	*krpc.Endpoint
	t     *testing.T
	clock *simnet.Clock
	start time.Time
	came  []time.Duration // the queries
	hosts []int           // that these came to
	ended []error
}

func newAsker(t *testing.T, hosts int, change func(*krpc.EndpointConfig)) *asker {
	a := &asker{t: t, start: time.Unix(1_800_000_000, 0)}
	a.clock = simnet.NewClock(a.start)
	net := simnet.NewNetwork(a.clock, rand.New(rand.NewPCG(1, 0)), simnet.Link{})
	for i := range hosts {
		net.Host(simnet.Addr(i), func(now time.Time, _ netip.AddrPort, _ []byte, _ krpc.Outbox) {
			a.came, a.hosts = append(a.came, now.Sub(a.start)), append(a.hosts, i)
		})
	}
	cfg := krpc.EndpointConfig{
		Transport: net.Host(simnet.Addr(hosts), func(time.Time, netip.AddrPort, []byte, krpc.Outbox) {}),
		Clock:     a.clock, Rand: rand.New(rand.NewPCG(1, 1)),
	}
	change(&cfg)
	a.Endpoint = krpc.NewEndpoint(cfg)
	return a
}

// Stalled implements krpc.Observer.
func (a *asker) Stalled() {}

// Done implements krpc.Observer.
func (a *asker) Done(_ *krpc.Message, _ time.Duration, err error) { a.ended = append(a.ended, err) }

func (a *asker) later(host int) {
	a.t.Helper()
	if err := a.QueryLater(simnet.Addr(host), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a); err != nil {
		a.t.Fatal(err)
	}
}

func TestQueriesThatNobodyWaitsForGiveWay(t *testing.T) {
	a := newAsker(t, 2, func(c *krpc.EndpointConfig) { c.Pacer = krpc.NewPacer(10, 1) })
	for range 100 {
		a.later(0)
	}
	if err := a.Query(simnet.Addr(1), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a); err != nil {
		t.Errorf("a query that somebody waits for: %v", err)
	}
	a.clock.Run(1200 * time.Millisecond)
	if n := len(a.came); n != 12 {
		t.Errorf("%d queries in 1.2 seconds, want 12", n)
	}
	a.clock.Run(20 * time.Second)
	if s := a.Stats(); len(a.came) != 101 || s.Refused != 0 {
		t.Errorf("%d queries, %d refused", len(a.came), s.Refused)
	}
	if last := a.came[100]; last < 10*time.Second || last > 13*time.Second {
		t.Errorf("the last one came after %v, want 10 a second", last)
	}
	a.clock.Run(time.Minute)
	if s := a.Stats(); len(a.ended) != 101 || a.ended[0] != krpc.ErrTimeout || s.Pending != 0 {
		t.Errorf("%d ended, %d pending", len(a.ended), s.Pending)
	}
}

func TestNewRemotesHoldUpWhatNobodyWaitsFor(t *testing.T) {
	a := newAsker(t, 300, func(c *krpc.EndpointConfig) { c.Remotes = krpc.NewRemotes(10) })
	for i := range 200 {
		a.later(i)
	}
	for i := range 100 {
		if err := a.Query(simnet.Addr(200+i), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a); err != nil {
			t.Error(err)
		}
	}
	a.later(0) // is known
	a.clock.Run(50 * time.Millisecond)
	if n := len(a.came); n != 151 { // a burst of 50, and those that are not held up
		t.Errorf("%d queries at once, want 151", n)
	}
	a.clock.Run(30 * time.Second)
	if s := a.Stats(); len(a.came) != 301 || s.Remotes.New != 300 || s.Remotes.Known != 300 || s.Refused != 0 {
		t.Errorf("%d queries, stats %+v", len(a.came), s.Remotes)
	}
	if last := a.came[300]; last < 14*time.Second || last > 20*time.Second {
		t.Errorf("the last one came after %v, want 10 a second", last)
	}
}

func TestCloseEndsQueriesThatWait(t *testing.T) {
	a := newAsker(t, 1, func(c *krpc.EndpointConfig) { c.Pacer = krpc.NewPacer(1, 1) })
	for range 10 {
		a.later(0)
	}
	a.clock.Run(time.Millisecond)
	a.Close()
	a.clock.Run(time.Minute)
	if len(a.ended) != 10 || a.ended[9] != krpc.ErrClosed || len(a.came) > 2 {
		t.Errorf("%d ended, %d came", len(a.ended), len(a.came))
	}
}

// After Close nothing leaves any more that had its place already, and no timer is left.
func TestCloseLeavesNothingInLine(t *testing.T) {
	a := newAsker(t, 100, func(c *krpc.EndpointConfig) {
		c.Pacer, c.Remotes = krpc.NewPacer(10, 1), krpc.NewRemotes(2)
	})
	for i := range 50 {
		a.later(i)
		_ = a.Query(simnet.Addr(50+i), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a) // some find no place
	}
	a.clock.Run(50 * time.Millisecond)
	came, timers := len(a.came), a.clock.Pending()
	a.Close()
	if n := a.clock.Pending(); n > 0 {
		t.Errorf("%d of %d timers are left", n, timers)
	}
	a.clock.Run(time.Minute)
	if len(a.came) != came {
		t.Errorf("%d queries have left after Close", len(a.came)-came)
	}
}

// Where there are always others, a query that nobody waits for leaves all the same.
func TestQueriesThatNobodyWaitsForDoNotWaitForEver(t *testing.T) {
	a := newAsker(t, 2, func(c *krpc.EndpointConfig) { c.Pacer = krpc.NewPacer(10, 1) })
	a.later(0)
	left := false
	for i := 0; i < 60*25/2 && !left; i++ { // more than the limit for a minute
		_ = a.Query(simnet.Addr(1), &krpc.Message{Method: krpc.MethodGet, HasID: true}, a)
		a.clock.Run(80 * time.Millisecond)
		left = a.Stats().Methods[krpc.MethodPing].QueriesOut > 0
	}
	if !left {
		t.Error("it has not left for a minute")
	}
}

// Whoever waits is not held up by what nobody waits for, however much of it there is.
func TestAQueryOvertakesThoseThatNobodyWaitsFor(t *testing.T) {
	for _, rate := range []float64{10, 1000} {
		a := newAsker(t, 2, func(c *krpc.EndpointConfig) { c.Pacer = krpc.NewPacer(rate, int(rate)) })
		for range 3000 {
			a.later(0)
		}
		for i := range 10 { // soon, and when those have waited for long
			a.clock.Run(1900 * time.Millisecond)
			if err := a.Query(simnet.Addr(1), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a); err != nil {
				t.Fatalf("at a rate of %v: %v", rate, err)
			}
			a.clock.Run(simnet.DefaultLatency)
			came := 0
			for _, host := range a.hosts {
				came += host
			}
			if came != i+1 {
				t.Errorf("at a rate of %v: %d of %d queries have left at once", rate, came, i+1)
			}
		}
	}
}

// Queries that nobody waits for leave in the order in which they came, and each is counted
// once among those that had to wait.
func TestQueriesThatNobodyWaitsForKeepTheirOrder(t *testing.T) {
	a := newAsker(t, 2000, func(c *krpc.EndpointConfig) { c.Remotes = krpc.NewRemotes(10) })
	for i := range 2000 { // twelve a second, where ten may leave
		a.later(i)
		a.clock.Run(time.Second / 12)
	}
	a.clock.Run(time.Minute)
	if !slices.IsSorted(a.hosts) || len(a.hosts) != 2000 {
		t.Errorf("%d have left, in their order: %t", len(a.hosts), slices.IsSorted(a.hosts))
	}
	// A burst of 50 lasts for 25 seconds.
	if s := a.Stats(); s.Remotes.Delayed < 1600 || s.Remotes.Delayed > 1800 || s.Remotes.New != 2000 {
		t.Errorf("%d of %d had to wait", s.Remotes.Delayed, s.Remotes.New)
	}
}

// The cost of those that wait is that of those that leave.
func TestManyQueriesThatWaitCostNothing(t *testing.T) {
	for name, change := range map[string]func(*krpc.EndpointConfig){
		"new remotes": func(c *krpc.EndpointConfig) { c.Remotes = krpc.NewRemotes(100) },
		"send rate":   func(c *krpc.EndpointConfig) { c.Pacer = krpc.NewPacer(100, 100) },
	} {
		a := newAsker(t, 20_000, change)
		for i := range 20_000 {
			a.later(i)
		}
		a.clock.Run(30 * time.Second) // the first have timed out
		before, events, end := len(a.came), 0, a.clock.Now().Add(time.Minute)
		for a.clock.Now().Before(end) && a.clock.Step() {
			events++
		}
		left := len(a.came) - before
		if left < 5990 || left > 6010 {
			t.Errorf("%s: %d have left in a minute, want 100 a second", name, left)
		}
		if events > 6*left { // the datagram, two timeouts, a place ahead, a look at the limit
			t.Errorf("%s: %d events for %d queries", name, events, left)
		}
	}
}

// However short the hard timeout is, it is not how often to look at a limit.
func TestQueriesThatWaitLookSeldom(t *testing.T) {
	a := newAsker(t, 1, func(c *krpc.EndpointConfig) {
		c.Pacer, c.HardTimeout = krpc.NewPacer(.2, 1), time.Microsecond
	})
	a.later(0)
	a.later(0)
	events := 0
	for len(a.came) < 2 && a.clock.Step() {
		events++
	}
	if events > 5000 {
		t.Errorf("%d timers in the five seconds that the second one waits", events)
	}
}

// Whoever is blocked while a query to him waits for its place is not asked any more.
func TestQueriesInLineHeedTheBlocklist(t *testing.T) {
	blocked := new(krpc.Blocklist)
	a := newAsker(t, 2, func(c *krpc.EndpointConfig) { c.Pacer, c.Blocklist = krpc.NewPacer(1, 1), blocked })
	a.later(0)
	a.later(1)
	if err := a.Query(simnet.Addr(1), &krpc.Message{Method: krpc.MethodPing, HasID: true}, a); err != nil {
		t.Fatal(err)
	}
	if _, err := blocked.Load(strings.NewReader(simnet.Addr(1).Addr().String())); err != nil {
		t.Fatal(err)
	}
	a.clock.Run(5 * time.Second)
	if len(a.came) != 1 || !slices.Equal(a.ended, []error{krpc.ErrBlocked, krpc.ErrBlocked}) || a.Stats().Pending != 1 {
		t.Errorf("%d queries have left, and ended: %v", len(a.came), a.ended)
	}
}

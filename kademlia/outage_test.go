package kademlia

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// journal is the log of a DHT.
type journal struct{ bytes.Buffer }

// news returns the lines since the last call, as far as their words decide.
func (j *journal) news() (lines []string) {
	for line := range strings.Lines(j.String()) {
		level, rest, _ := strings.Cut(line[strings.Index(line, "level=")+len("level="):], " msg=")
		msg, _, _ := strings.Cut(strings.Trim(rest, `"`), `"`)
		msg, _, _ = strings.Cut(msg, ";")
		_, listen, _ := strings.Cut(line, "listen=")
		listen, _, _ = strings.Cut(listen, " ")
		lines = append(lines, strings.TrimSpace(level+" "+msg+" "+strings.Trim(listen, `"`)))
	}
	j.Reset()
	return lines
}

// elsewhere is a transport that names another local address than its host's.
type elsewhere struct {
	krpc.Transport
	addr netip.AddrPort
}

func (e elsewhere) LocalAddr() netip.AddrPort { return e.addr }

// dual makes the DHT of a program with a node of each family that has way[0] and way[1]
// to join through. The node of IPv6 listens on an address of its own or on all of them.
func (l *lab) dual(ways *[2][]netip.AddrPort, onAll bool) (*DHT, *journal) {
	j := new(journal)
	d := &DHT{log: slog.New(slog.NewTextHandler(j, nil)), outages: newOutages(), save: make(chan struct{}, 1)}
	d.nodes = l.family([]netip.AddrPort{simnet.Addr(100), simnet.Addr6(100)}, func(i int, c *NodeConfig) {
		if onAll && i == 1 {
			c.Transport = elsewhere{c.Transport, netip.MustParseAddrPort("[::]:6881")}
		}
		c.Bootstrap = func(done func([]netip.AddrPort, error)) {
			l.clock.AfterFunc(0, func() { done(ways[i], nil) })
		}
		c.Joined = func(err error) { d.report(d.nodes[i], err) }
	})
	for _, n := range d.nodes {
		n.Start()
	}
	return d, j
}

func wantNews(t *testing.T, j *journal, want ...string) {
	t.Helper()
	if got := j.news(); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// A node that has nobody of its family to join through says so, once, although the other
// one has joined.
func TestOutageOfOneNode(t *testing.T) {
	const lost = "one of the nodes cannot join the DHT yet"
	for name, c := range map[string]struct {
		onAll  bool
		level  string
		listen string
	}{
		"on its own address": {false, "WARN", simnet.Addr6(100).String()},
		"on all addresses":   {true, "INFO", "[::]:6881"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.network(9)
			v4 := []netip.AddrPort{simnet.Addr(0)}
			ways := [2][]netip.AddrPort{v4, v4}
			_, j := l.dual(&ways, c.onAll)
			l.clock.Run(time.Second)
			wantNews(t, j, "INFO joined the DHT "+simnet.Addr(100).String())
			l.clock.Run(time.Hour)
			wantNews(t, j, c.level+" "+lost+" "+c.listen)

			// A name server has learnt of an IPv6 address meanwhile.
			l.node(simnet.Addr6(0), nil).Start()
			ways[1] = []netip.AddrPort{simnet.Addr6(0)}
			l.clock.Run(time.Hour)
			wantNews(t, j, "INFO joined the DHT "+c.listen)
		})
	}
}

// While nobody gets through, that is all there is to say.
func TestOutageOfAllNodes(t *testing.T) {
	const lost = "WARN cannot join the DHT yet"
	l := newLab(t)
	var ways [2][]netip.AddrPort
	for i := range ways {
		ways[i] = []netip.AddrPort{simnet.Addr(0)}
	}
	_, j := l.dual(&ways, false)
	l.clock.Run(time.Hour)
	wantNews(t, j, lost)
	l.network(9)
	l.clock.Run(time.Hour)
	wantNews(t, j, "INFO joined the DHT "+simnet.Addr(100).String(),
		"WARN one of the nodes cannot join the DHT yet "+simnet.Addr6(100).String())
}

// What is news, attempt by attempt.
func TestNewsOfJoining(t *testing.T) {
	a, b := new(Node), new(Node)
	o := newOutages()
	for i, s := range []struct {
		n    *Node
		err  error
		want joinNews
	}{
		{a, nil, joined}, {a, nil, noNews}, {b, errNobody, noNews}, {b, errNobody, noNews},
		{b, errNobody, oneLost}, {b, errNobody, noNews}, // once
		{a, errNobody, allLost}, {b, errNobody, noNews}, {a, errNobody, noNews},
		{a, nil, joined}, {b, errNobody, noNews}, {b, nil, joined}, {b, nil, noNews},
		{b, errNobody, noNews}, {b, nil, noNews}, // a datagram was lost
		{a, errNobody, noNews}, {a, errNobody, noNews}, {a, errNobody, oneLost}, // another outage
	} {
		if got := o.note(s.n, s.err, 2); got != s.want {
			t.Errorf("step %d: %d, want %d", i, got, s.want)
		}
	}
}

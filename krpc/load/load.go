// Package load asks a DHT node as hard as it answers, or at a given rate, over UDP.
// It checks every reply and counts what came back.
//
// A Generator plays the nodes of a network at addresses of 127.0.0.0/8, so that the
// routing table of a node under test on loopback is full: it answers what that asks
// them. The load comes from 64 more of them. All of it is one goroutine, the
// caller's, on one socket; a query costs no allocation, and less time than any
// answer to it.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

// DefaultTimeout is when a query without a reply is lost, unless told otherwise.
const DefaultTimeout = time.Second

// Config configures a Generator.
type Config struct {
	Target netip.AddrPort // the node to ask; required
	Rand   *rand.Rand     // for ids, targets and the order of queries; required
	// Listen is the address to ask from. The zero AddrPort stands for 64 addresses
	// of 127.0.0.0/8 if Target is in there and the system can do that (see
	// udp.CanChooseSource), else for the one that the kernel chooses.
	Listen netip.AddrPort
	// Timeout is when a query without a reply is lost; 0: DefaultTimeout.
	Timeout time.Duration
	// Echo says that Target sends back whatever it gets, and is not a DHT node:
	// the yardstick. A reply is right then if it is the query.
	Echo bool
}

// Generator asks one node. It is not safe for concurrent use.
type Generator struct {
	cfg    Config
	rng    *rand.Rand
	client *udp.Client

	askers     []node // whose queries are the load
	population []node // who are there to be known
	byAddr     map[netip.Addr]*node

	server      krpc.ID
	templates   [NumKinds]template
	swarms      []krpc.ID
	credentials []credential
	enrolledAt  time.Time

	flight  flight
	message krpc.Message // the one being read
	fault   string       // the first thing that was wrong in a run
}

// Open binds the address to ask from. Greet is next.
func Open(cfg Config) (*Generator, error) {
	if cfg.Rand == nil || !cfg.Target.IsValid() || cfg.Target.Port() == 0 {
		return nil, errors.New("load: open: Target and Rand are required")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	g := &Generator{cfg: cfg, rng: cfg.Rand, byAddr: make(map[netip.Addr]*node)}
	var err error
	if g.client, err = udp.NewClient(g.listenAddr(), udp.Config{}); err != nil {
		return nil, fmt.Errorf("load: open: %w", err)
	}
	g.askers = []node{{id: krpc.RandomID(g.rng)}}
	if g.manyAddresses() {
		g.askers = g.newNodes(askers, func(int) krpc.ID { return krpc.RandomID(g.rng) })
	}
	g.makeTemplates()
	return g, nil
}

// manyAddresses tells whether the generator asks from addresses of its choice.
func (g *Generator) manyAddresses() bool {
	ip := g.cfg.Target.Addr()
	return udp.CanChooseSource && ip.Is4() && ip.IsLoopback() && !g.cfg.Listen.IsValid()
}

func (g *Generator) listenAddr() netip.AddrPort {
	ip := g.cfg.Target.Addr()
	switch {
	case g.cfg.Listen.IsValid():
		return g.cfg.Listen
	case ip.Is4() && ip.IsLoopback() && !udp.CanChooseSource:
		return netip.AddrPortFrom(ip, 0)
	case ip.Is4():
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	default:
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
}

// Close closes the socket.
func (g *Generator) Close() error { return g.client.Close() }

// Options says what a run is.
type Options struct {
	Mix      Mix
	InFlight int           // closed loop: how many queries wait for a reply at a time
	Rate     float64       // open loop, if above 0: queries a second, whatever comes back
	Duration time.Duration // after which nothing more is asked
	Requests int           // after which nothing more is asked; 0: any number
}

// Run asks as o says, and returns once every query has its reply or is lost. When ctx
// ends, so does the run, with what it has. An error is one of the socket, or says that
// the mix has queries that the node was not prepared for.
func (g *Generator) Run(ctx context.Context, o Options) (Result, error) {
	if o.Mix.NeedsPeers() && len(g.credentials) == 0 {
		return Result{}, errors.New("load: run: the node has taken no peers")
	}
	j := &run{g: g, schedule: o.Mix.schedule(g.rng), left: o.Requests, limited: o.Requests > 0}
	if len(j.schedule) == 0 {
		return Result{}, errors.New("load: run: the mix is empty")
	}
	g.fault = ""
	err := g.drive(ctx, j, pace{inFlight: max(o.InFlight, 1), rate: o.Rate, lasts: o.Duration})
	j.result.Unsent = g.flight.unsent
	j.result.Wrong += g.flight.garbled
	if j.result.Fault = g.fault; g.fault == "" && g.flight.garbled > 0 {
		j.result.Fault = "not KRPC, or not our transaction id"
	}
	return j.result, err
}

// run is the job of a Run.
type run struct {
	g        *Generator
	schedule []Kind
	next     int
	left     int
	limited  bool
	result   Result
}

func (r *run) ask(s *slot, b []byte) []byte {
	if r.limited {
		if r.left == 0 {
			return nil
		}
		r.left--
	}
	s.kind = r.schedule[r.next%len(r.schedule)]
	s.asker = r.next % len(r.g.askers)
	r.next++
	r.result.Sent++
	return r.g.query(s, b)
}

func (r *run) answered(s *slot, m *krpc.Message, size int, rtt time.Duration) {
	r.result.Elapsed = r.g.flight.elapsed()
	switch fault := r.g.check(s.kind, m); {
	case fault == "":
		r.result.Replies++
		r.result.Bytes += uint64(size)
		r.result.Latency.observe(rtt)
		return
	case m.Kind == krpc.KindError:
		r.result.Errors++
		r.g.noteError(s.kind, m)
	default:
		r.result.Wrong++
		r.g.note(s.kind, fault)
	}
}

func (r *run) lost(*slot) { r.result.Lost++ }

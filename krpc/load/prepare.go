package load

import (
	"context"
	"fmt"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// swarms and swarmPeers are what is announced to the node before it is measured.
	swarms     = 64
	swarmPeers = 50
	// tries is how often a query of the preparation is sent at most.
	tries = 5
	// tokenAge is how old tokens may get; BEP 5 has them last for ten minutes, and
	// some nodes change them more often.
	tokenAge = 2 * time.Minute
	// echoToken is as long as a common token, for queries that are echoed.
	echoToken = "12345678"
)

// credential is the right to announce one peer.
type credential struct {
	asker    int
	swarm    int
	port     uint16
	tries    int
	announce []byte // the query, but for its transaction id
}

// Prepared is what the node under test holds once it is prepared.
type Prepared struct {
	ID    krpc.ID
	Nodes int // ours that were there to be known; 0: it has the table that it has
	Known int // of these, those that it has asked something
	Peers int // announces that it has taken, in 64 swarms; 0: it stores none
}

// Greet waits until the node answers. One that does not before ctx ends is an error.
// Prepare is next.
func (g *Generator) Greet(ctx context.Context) error {
	if err := g.drive(ctx, &hello{g: g}, pace{inFlight: 1, lasts: untilDone}); err != nil {
		return fmt.Errorf("load: greet: no reply from %v: %w", g.cfg.Target, err)
	}
	return nil
}

// Prepare fills the table of the node if the generator has addresses for that, and
// announces the peers that are asked for later. A node that does not answer all of that
// before ctx ends is an error; one that stores no peers is none.
func (g *Generator) Prepare(ctx context.Context) (Prepared, error) {
	g.swarms = make([]krpc.ID, swarms)
	for i := range g.swarms {
		g.randomID(&g.swarms[i])
	}
	if g.cfg.Echo {
		g.pretend()
		return Prepared{}, nil
	}
	if g.manyAddresses() {
		if err := g.populate(ctx); err != nil {
			return Prepared{}, fmt.Errorf("load: prepare: %w", err)
		}
	}
	if err := g.enrol(ctx); err != nil {
		return Prepared{}, fmt.Errorf("load: prepare: few announces are answered; does the node limit its askers? %w", err)
	}
	return Prepared{g.server, len(g.population), g.met(), len(g.credentials)}, nil
}

// Renew gets new tokens, and has the swarms stay, if it is time to. It is for before a
// run.
func (g *Generator) Renew(ctx context.Context) error {
	if g.cfg.Echo || len(g.credentials) == 0 || time.Since(g.enrolledAt) < tokenAge {
		return nil
	}
	if err := g.enrol(ctx); err != nil {
		return fmt.Errorf("load: renew: %w", err)
	}
	return nil
}

// enrol announces all peers.
func (g *Generator) enrol(ctx context.Context) error {
	e := &enrolment{g: g}
	for i, c := range peers(len(g.askers)) {
		e.all = append(e.all, c)
		e.queue = append(e.queue, i)
	}
	g.enrolledAt = time.Now()
	if err := g.drive(ctx, e, pace{inFlight: 32, lasts: untilDone}); err != nil {
		return err
	}
	g.credentials = e.done
	return nil
}

// peers returns those of all swarms, with nothing to announce them by. If they have to
// share addresses, they differ by port.
func peers(askers int) (list []credential) {
	for swarm := range swarms {
		for i := range swarmPeers {
			list = append(list, credential{asker: (swarm + i) % askers, swarm: swarm, port: uint16(6881 + i/askers)})
		}
	}
	return list
}

// setToken makes what announces c.
func (g *Generator) setToken(c *credential, token []byte) {
	m := krpc.Message{
		Kind: krpc.KindQuery, Method: krpc.MethodAnnouncePeer, TID: make([]byte, tidLen),
		HasID: true, ID: g.askers[c.asker].id, HasInfoHash: true, InfoHash: g.swarms[c.swarm],
		Port: c.port, Token: token,
	}
	c.announce = m.Append(nil)
}

// pretend makes announces with a token of nobody.
func (g *Generator) pretend() {
	for _, c := range peers(len(g.askers)) {
		g.setToken(&c, []byte(echoToken))
		g.credentials = append(g.credentials, c)
	}
}

// hello is the job that waits for the node's first reply.
type hello struct {
	g     *Generator
	heard bool
}

func (h *hello) ask(s *slot, b []byte) []byte {
	if h.heard {
		return nil
	}
	s.asker, s.kind = 0, Ping
	return h.g.query(s, b)
}

func (h *hello) answered(_ *slot, m *krpc.Message, _ int, _ time.Duration) {
	h.heard = m.Kind == krpc.KindReply && (m.HasID || h.g.cfg.Echo)
	h.g.server = m.ID
}

func (h *hello) lost(*slot) {}

// enrolment is the job that gets tokens and announces peers with them.
type enrolment struct {
	g     *Generator
	all   []credential
	queue []int // of all, to ask for next
	done  []credential
}

func (e *enrolment) ask(s *slot, b []byte) []byte {
	for len(e.queue) > 0 {
		i := e.queue[0]
		e.queue = e.queue[1:]
		c := &e.all[i]
		if c.tries++; c.tries > tries {
			continue
		}
		s.item, s.asker = i, c.asker
		if c.announce != nil {
			s.kind = AnnouncePeer
			return append(b, c.announce...)
		}
		s.kind = GetPeersHit
		return e.g.templates[GetPeersHit].fill(b, &e.g.askers[c.asker].id, &e.g.swarms[c.swarm])
	}
	return nil
}

func (e *enrolment) answered(s *slot, m *krpc.Message, _ int, _ time.Duration) {
	c := &e.all[s.item]
	switch {
	case m.Kind != krpc.KindReply:
	case s.kind == AnnouncePeer:
		e.done = append(e.done, *c)
	case len(m.Token) > 0:
		e.g.setToken(c, m.Token)
		c.tries = 0
		e.queue = append(e.queue, s.item)
	}
}

func (e *enrolment) lost(s *slot) { e.queue = append(e.queue, s.item) }

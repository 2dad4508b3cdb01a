package fuzz

import (
	"errors"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var errRefuses = errors.New("the transport refuses")

// wire is the transport of a node, and the outbox of its replies.
type wire struct {
	p      *program
	node   int
	life   int
	addr   netip.AddrPort
	closed bool

	from   netip.AddrPort // of what is being delivered
	tid    string
	replyB []byte
	buf    [krpc.MaxDatagram]byte
}

// asked is a query of the program.
type asked struct {
	w  *wire
	to netip.AddrPort
	q  *krpc.Message
}

// key is what a reply has to have in common with the query.
func (a *asked) key() askedKey { return askedKey{a.w, a.to, string(a.q.TID)} }

type askedKey struct {
	w   *wire
	to  netip.AddrPort
	tid string
}

// LocalAddr implements krpc.Transport.
func (w *wire) LocalAddr() netip.AddrPort { return w.addr }

// Send implements krpc.Transport.
func (w *wire) Send(to netip.AddrPort, b []byte) error {
	p := w.p
	var m krpc.Message
	err := m.Decode(b)
	if m.Kind == krpc.KindReply {
		p.note("answers late "+to.String(), b)
		p.answerLate(w, to, b, &m)
		return nil
	}
	if err != nil || m.Kind != krpc.KindQuery || m.CheckQuery() != nil || !m.HasID {
		p.t.Fatalf("sends %q: %v, %v", b, err, m.CheckQuery())
	}
	if most := limitOf(&m); len(b) > most {
		p.t.Fatalf("sends %d bytes: %q", len(b), b)
	}
	switch class := krpc.Class(to.Addr()); {
	case w.closed || w.life != p.life:
		p.t.Fatalf("sends %v after Close", m.Method)
	case to.Addr().Is6() != w.addr.Addr().Is6() || to.Port() == 0 || class == krpc.AddrClassInvalid,
		class == krpc.AddrClassLocal && !p.choices.has(chooseLocal) && !p.called(to),
		p.blocked.Contains(to.Addr()):
		p.t.Fatalf("sends %v to %v", m.Method, to)
	}
	p.note("sends to "+to.String(), b)
	if p.refuses {
		return errRefuses
	}
	a := &asked{w: w, to: to, q: m.Clone()}
	p.waiting[a.key()] = true
	p.expect(a)
	return nil
}

// limitOf returns how long a datagram with m may be.
func limitOf(m *krpc.Message) int {
	if m.V != nil {
		return maxItemReply
	}
	return krpc.MaxReply
}

// Buffer implements krpc.Outbox.
func (w *wire) Buffer() []byte { return w.buf[:0] }

// Push implements krpc.Outbox.
func (w *wire) Push(to netip.AddrPort, b []byte) {
	if to != w.from || &b[0] != &w.buf[0] {
		w.p.t.Fatalf("answers %q to %v: from %v", b, to, w.from)
	}
	var m krpc.Message
	if m.Decode(b) == nil && w.proves(to, b, &m) {
		return
	}
	if w.replyB != nil {
		w.p.t.Fatalf("answers %q to %v, after %q", b, to, w.replyB)
	}
	w.p.note("answers "+to.String(), b)
	w.replyB = b
}

// proves takes note of what is sent since a get has to wait, or is answered at last: a ping, and the
// item.
func (w *wire) proves(to netip.AddrPort, b []byte, m *krpc.Message) bool {
	p := w.p
	switch {
	case m.Kind == krpc.KindQuery && m.Method == krpc.MethodPing:
		p.note("pings "+to.String(), b)
		p.expect(&asked{w: w, to: to, q: m.Clone()})
		return true
	case m.HasTTL && string(m.TID) != w.tid:
		p.note("answers late "+to.String(), b)
		p.answerLate(w, to, b, m)
		return true
	}
	return false
}

// expect has a be one of the queries that wait for an answer.
func (p *program) expect(a *asked) {
	if len(p.asked) == maxOutstanding {
		p.asked = p.asked[1:]
	}
	p.asked = append(p.asked, a)
	p.serve(a)
}

// take returns one of the queries that wait for an answer, the newest first; nil if there is
// none.
func (p *program) take(i int) *asked {
	if len(p.asked) == 0 {
		return nil
	}
	return p.asked[len(p.asked)-1-i%len(p.asked)]
}

// wireOf returns the transport that a datagram from addr comes by; nil if there is none.
func (p *program) wireOf(addr netip.AddrPort) *wire {
	for _, w := range p.wires {
		if w.addr.Addr().Is6() == addr.Addr().Is6() {
			return w
		}
	}
	return nil
}

// deliver delivers a datagram to the program, and returns the answer; nil if there is none.
func (p *program) deliver(from netip.AddrPort, b []byte) *krpc.Message {
	w := p.wireOf(from)
	if w == nil {
		return nil
	}
	var m krpc.Message
	isMessage := m.Decode(b) == nil
	q := *m.Clone()
	if isMessage && q.Kind != krpc.KindQuery {
		p.learn(askedKey{w, from, string(q.TID)}, &q)
	}
	n, now := p.nodes[w.node], p.clock.Now()
	w.from, w.tid, w.replyB = from, string(q.TID), nil
	n.Deliver(now, from, b, w)
	p.log.Commit()
	w.from = netip.AddrPort{}
	if w.replyB == nil {
		if q.Kind == krpc.KindQuery && q.Method == krpc.MethodGet {
			p.gets[askedKey{w, from, string(q.TID)}] = q
		}
		return nil
	}
	var r krpc.Message
	if err := r.Decode(w.replyB); err != nil || r.Kind == krpc.KindQuery || string(r.TID) != string(q.TID) {
		p.t.Fatalf("%q is answered with %q: %v", b, w.replyB, err)
	}
	switch {
	case !isMessage || q.Kind != krpc.KindQuery || p.choices.has(chooseReadOnly) && q.CheckQuery() == nil:
		p.t.Fatalf("%q is answered with %q", b, w.replyB)
	case from.Port() == 0 || p.blocked.Contains(from.Addr()):
		p.t.Fatalf("%v is answered", from)
	case len(w.replyB) > limitOf(&r):
		p.t.Fatalf("%v is answered with %d bytes: %q", q.Method, len(w.replyB), w.replyB)
	}
	p.checkAnswer(n, from, &q, &r, now)
	return r.Clone()
}

// called tells whether somebody has named to as a node to begin with, which may be a local one.
func (p *program) called(to netip.AddrPort) bool {
	for _, c := range p.calls {
		if c.to == to {
			return true
		}
	}
	return false
}

// The ways in which strangers answer.
const (
	servingNobody = iota
	servingHonest
	servingLossy
	servingSybil // with ids next to what is looked for
	servingErrors
	servingRefusing // to store anything
	numServings
)

// latency is how long a datagram takes there and back.
const latency = 40 * time.Millisecond

// serve has a stranger answer a.
func (p *program) serve(a *asked) {
	if p.serving == servingNobody || p.serving == servingLossy && a.q.TID[3]&3 == 0 {
		return
	}
	if !p.isStranger(a.to) {
		return
	}
	var m mask
	switch p.serving {
	case servingSybil:
		m = 1 << mutateNear
	case servingErrors:
		m = 1 << mutateError
	case servingRefusing:
		if a.q.Method == krpc.MethodAnnouncePeer || a.q.Method == krpc.MethodPut {
			m = 1 << mutateRefused
		}
	}
	p.clock.AfterFunc(latency, func() {
		if a.w.life == p.life {
			p.reply(a, m, new(script))
		}
	})
}

package scenario

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// maxValueReply bounds a reply with a value of BEP 44, in bytes.
const maxValueReply = 1440

// wire is the transport of a node, which is watched.
type wire struct {
	p *program
	e *end
}

// LocalAddr implements krpc.Transport.
func (t *wire) LocalAddr() netip.AddrPort { return t.e.net.LocalAddr() }

// Send implements krpc.Transport. It carries queries, and replies to who has not proved his
// address in time: others leave by the outbox.
func (t *wire) Send(to netip.AddrPort, b []byte) error {
	p, w := t.p, t.p.h.w
	if p.closed {
		w.broken("%v sends after its nodes were closed", p.h.name())
	}
	if p.dead {
		return net.ErrClosed
	}
	if p.h.watched {
		m := &w.sending
		switch err := m.Decode(b); {
		case err != nil || m.Kind == krpc.KindError || m.Kind == krpc.KindReply && !m.HasTTL || len(b) > limitOf(m):
			w.broken("%v sends what is no query: %q", p.h.name(), b)
		case m.Kind == krpc.KindReply:
			return t.e.net.Send(to, b)
		case m.HasInfoHash:
			p.attempts[m.InfoHash] = p.h.clock.Now()
		}
		p.sent[t.e.at].add(p.h.clock.Now())
	}
	return t.e.net.Send(to, b)
}

// deliver is the krpc.PacketFunc of the end.
func (e *end) deliver(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
	h := e.host
	h.received++
	p := h.life
	if p == nil || p.dead {
		return
	}
	o := &h.w.outbox
	*o = outbox{Outbox: out}
	if !h.watched {
		p.nodes[e.at].Deliver(now, from, b, o)
		o.release(p)
		return
	}
	m := &h.w.arriving
	err := m.Decode(b)
	h.w.trace(e, from, m, err, len(b))
	if err == nil && m.Kind == krpc.KindReply && m.HasID {
		h.answered[krpc.NodeInfo{ID: m.ID, Addr: from}] = struct{}{}
	}
	p.nodes[e.at].Deliver(now, from, b, o)
	answered := o.pushed > 0 && h.w.checkAnswer(e, from, m, err)
	if o.release(p) && answered {
		h.promises.note(p, now, from, m, &h.w.leaving)
	}
}

// outbox holds back the reply until what it acknowledges is written.
type outbox struct {
	krpc.Outbox
	pushed int
	to     netip.AddrPort
	b      []byte
}

// Push implements krpc.Outbox.
func (o *outbox) Push(to netip.AddrPort, b []byte) {
	o.pushed++
	o.to, o.b = to, b
}

// release lets the reply go if the program lives, and tells whether one has gone.
func (o *outbox) release(p *program) bool {
	if o.pushed == 0 || !p.commit() {
		return false
	}
	o.Outbox.Push(o.to, o.b)
	return true
}

// checkAnswer holds what e has answered to m, which came from an address, to what any answer
// must be. It reports false if it is none: a ping since m has to wait, or the item of a get before
// that had to.
func (w *world) checkAnswer(e *end, from netip.AddrPort, m *krpc.Message, bad error) bool {
	o, r := &w.outbox, &w.leaving
	err := r.Decode(o.b)
	switch get := bad == nil && m.Kind == krpc.KindQuery && m.Method == krpc.MethodGet; {
	case o.pushed > 1:
		w.broken("%v answers %d times", e.host.name(), o.pushed)
	case o.to != from:
		w.broken("%v answers %v a datagram of %v", e.host.name(), o.to, from)
	case err == nil && get && r.Kind == krpc.KindQuery && r.Method == krpc.MethodPing:
		return false
	case err == nil && bad == nil && (get || m.Kind != krpc.KindQuery) && r.HasTTL && !bytes.Equal(r.TID, m.TID) && len(o.b) <= limitOf(r):
		return false
	case bad != nil || m.Kind != krpc.KindQuery:
		w.broken("%v answers to what is no query", e.host.name())
	case err != nil || r.Kind == krpc.KindQuery:
		w.broken("%v answers with what is no reply: %q", e.host.name(), o.b)
	}
	switch {
	case !bytes.Equal(r.TID, m.TID):
		w.broken("%v answers to %x as if it were %x", e.host.name(), m.TID, r.TID)
	case len(o.b) > limitOf(r):
		w.broken("%v answers %v with %d bytes", e.host.name(), m.Method, len(o.b))
	}
	return true
}

// limitOf returns how long a datagram with m may be.
func limitOf(m *krpc.Message) int {
	if m.V != nil {
		return maxValueReply
	}
	return krpc.MaxReply
}

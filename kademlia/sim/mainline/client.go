package mainline

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// client asks, for the policies that are emulated.
type client struct {
	Env
	id      krpc.ID
	nextTID uint32
	pending map[uint32]*call
	closed  bool

	shortTimeout time.Duration // 0: none
	hardTimeout  time.Duration
}

// call is one query under way.
type call struct {
	to          netip.AddrPort
	sent        time.Time
	short, hard krpc.Timer

	onShort func()                                   // the short timeout has passed
	onDone  func(r *krpc.Message, rtt time.Duration) // r is nil if there is no reply
}

func newClient(e Env) client {
	return client{Env: e, id: krpc.RandomID(e.Rand), pending: make(map[uint32]*call)}
}

// ask sends m to a node.
func (c *client) ask(to netip.AddrPort, m krpc.Message, onShort func(), onDone func(r *krpc.Message, rtt time.Duration)) {
	tid := c.nextTID
	c.nextTID++
	m.Kind, m.HasID, m.ID = krpc.KindQuery, true, c.id
	m.TID = binary.BigEndian.AppendUint32(nil, tid)
	q := &call{to: to, sent: c.Clock.Now(), onShort: onShort, onDone: onDone}
	c.pending[tid] = q
	if c.shortTimeout > 0 {
		q.short = c.Clock.AfterFunc(c.shortTimeout, q.onShort)
	}
	q.hard = c.Clock.AfterFunc(c.hardTimeout, func() {
		if c.take(tid, to) != nil {
			onDone(nil, 0)
		}
	})
	_ = c.Transport.Send(to, m.Append(nil)) // what is not sent is not answered
}

// take removes the query with this number, if it went to that address.
func (c *client) take(tid uint32, to netip.AddrPort) *call {
	q := c.pending[tid]
	if q == nil || q.to != to {
		return nil
	}
	delete(c.pending, tid)
	q.hard.Stop()
	if q.short != nil {
		q.short.Stop()
	}
	return q
}

// Deliver implements Subject. An error is as good as no reply.
func (c *client) Deliver(now time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
	var m krpc.Message
	if c.closed || m.Decode(b) != nil || m.Kind == krpc.KindQuery || len(m.TID) != 4 {
		return
	}
	q := c.take(binary.BigEndian.Uint32(m.TID), from)
	switch {
	case q == nil:
	case m.Kind == krpc.KindReply && m.HasID:
		q.onDone(&m, now.Sub(q.sent))
	default:
		q.onDone(nil, 0)
	}
}

// Close implements Subject.
func (c *client) Close() {
	c.closed = true
	for _, q := range c.pending {
		q.hard.Stop()
		if q.short != nil {
			q.short.Stop()
		}
	}
	clear(c.pending)
}

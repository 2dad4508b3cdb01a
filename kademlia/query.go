package kademlia

import (
	"net/netip"
	"sync"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// outageAge is how long no answer at all must have come before silence is no longer
// blamed on the nodes that were asked, but on the network. A small table has fewer
// to hear from.
const outageAge = time.Minute

// outage tells whether the network seems to be down rather than a node.
func (n *Node) outage(now time.Time) bool {
	patience := max(outageAge, 3*questionableAge/time.Duration(max(1, n.table.size())))
	return n.endpoint.SilentFor(now) > patience
}

// blames tells whether the silence of a node that was asked is held against it. Where more comes
// in than we can read, its reply is among what the kernel drops.
func (n *Node) blames() bool {
	now := n.now()
	return !n.outage(now) && !n.endpoint.Strained(now)
}

// query is one query under way. It is the krpc.Observer of its transaction.
type query struct {
	n      *Node
	to     krpc.NodeInfo // the zero ID where it is not known
	self   krpc.ID       // of the sender
	method krpc.Method
	again  bool // sent a second time: it is not blamed twice
	later  bool // nobody waits for it
	done   bool // it has not stalled any more, whatever another core does

	// t, if set, is the lookup that asks one of its nodes, and takes the place of the functions: it
	// asks many, and a closure for each of them would be most of its garbage. before is how many
	// copies were sent before this one.
	t      *traversal
	before uint8

	fill func(*krpc.Message) // sets the arguments, but for the id; may be nil
	// Both are called under n.mu and may be nil. r is nil if there is no reply,
	// and valid during the call only.
	onStall func()
	onDone  func(r *krpc.Message, rtt time.Duration, err error)
}

// messages recycles those of queries among all nodes; an endpoint keeps nothing of them.
var messages = sync.Pool{New: func() any { return new(krpc.Message) }}

// ask sends q once n.mu, which the caller holds, is free.
func (n *Node) ask(q *query) {
	q.n, q.self = n, n.table.self
	n.later(q.send)
}

func (q *query) send() {
	m := messages.Get().(*krpc.Message)
	*m = krpc.Message{Method: q.method, HasID: true, ID: q.self}
	switch {
	case q.t != nil:
		q.t.fill(m)
	case q.fill != nil:
		q.fill(m)
	}
	send := (*krpc.Endpoint).Query
	if q.later {
		send = (*krpc.Endpoint).QueryLater
	}
	err := send(&q.n.endpoint, q.to.Addr, m, q)
	m.Reset()
	messages.Put(m)
	if err != nil {
		q.Done(nil, 0, err)
	}
}

// Stalled implements krpc.Observer.
func (q *query) Stalled() {
	q.n.mu.Lock()
	defer q.n.unlock()
	switch {
	case q.done:
	case q.t != nil:
		q.t.waited(q)
	case q.onStall != nil:
		q.onStall()
	}
}

// Done implements krpc.Observer.
func (q *query) Done(r *krpc.Message, rtt time.Duration, err error) {
	n := q.n
	n.mu.Lock()
	defer n.unlock()
	switch {
	case r != nil:
		if mismatch := n.heardFrom(q, r, rtt); mismatch != nil {
			r, err = nil, mismatch
		}
	case err == krpc.ErrTimeout && !q.again && n.blames():
		n.table.failed(q.to, n.now())
	case err == krpc.ErrBlocked:
		n.table.disowned(q.to)
	}
	q.done = true
	switch {
	case q.t != nil:
		q.t.heard(q.to, r, err)
	case q.onDone != nil:
		q.onDone(r, rtt, err)
	}
}

// heardFrom takes note of a reply or an error. It returns an error if the reply
// does not come from the node that was asked.
func (n *Node) heardFrom(q *query, r *krpc.Message, rtt time.Duration) error {
	now := n.now()
	if r.IP.IsValid() && !n.closed && n.votes.add(q.to.Addr.Addr(), r.IP.Addr(), now) {
		n.rebase(n.votes.current)
	}
	if r.Kind == krpc.KindError {
		n.table.answered(q.to, now)
		return nil
	}
	if !r.HasID || r.ID == n.table.self {
		n.table.disowned(q.to)
		if r.HasID {
			return errReflected
		}
		return errNoID
	}
	other := q.to.ID != (krpc.ID{}) && q.to.ID != r.ID
	if other {
		n.table.disowned(q.to)
	}
	if c := (krpc.NodeInfo{ID: r.ID, Addr: q.to.Addr}); n.table.responded(c, rtt, now) {
		n.welcomed(c)
	}
	if other {
		return errOtherID
	}
	return nil
}

// PingResult is a node's answer to a ping.
type PingResult struct {
	Node    krpc.NodeInfo
	RTT     time.Duration
	Version string         // the software that it says it is
	SeenAs  netip.AddrPort // where it sees us; invalid if it does not say
}

// Ping asks the node at addr for its id; done is called once.
func (n *Node) Ping(addr netip.AddrPort, done func(PingResult, error)) {
	n.Query(krpc.NodeInfo{Addr: addr}, krpc.MethodPing, nil, func(r *krpc.Message, rtt time.Duration, err error) {
		if err != nil {
			done(PingResult{}, err)
			return
		}
		done(PingResult{krpc.NodeInfo{ID: r.ID, Addr: addr}, rtt, string(r.Version), r.IP}, nil)
	})
}

// Query sends one query of any method. fill sets the arguments but for the
// sender's id, and may be nil. If to.ID is not zero, a reply with another id is an
// error. done is called once, with a reply of its own to keep or with an error,
// an *krpc.Error if the node sent one; it may not block.
func (n *Node) Query(to krpc.NodeInfo, m krpc.Method, fill func(*krpc.Message), done func(r *krpc.Message, rtt time.Duration, err error)) {
	n.mu.Lock()
	defer n.unlock()
	n.ask(&query{to: to, method: m, fill: fill, onDone: func(r *krpc.Message, rtt time.Duration, err error) {
		if err == nil {
			r = r.Clone()
		} else {
			r = nil // the message with the error is in the error
		}
		n.later(func() { done(r, rtt, err) })
	}})
}

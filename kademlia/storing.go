package kademlia

import (
	"errors"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// maxToken is the longest token that is sent back; the longest seen has 40 bytes.
const maxToken = 128

// ErrNoToken says that a node was not asked to store since it has given no token for it,
// or none of a sensible length.
var ErrNoToken = errors.New("kademlia: store: no token")

// Store describes a STORE: what nodes are asked to keep at a target, with the tokens
// that a lookup got from them.
type Store struct {
	// Method is the query, MethodAnnouncePeer or MethodPut. Fill sets its arguments
	// for the node to, but for our id and the token.
	Method krpc.Method
	Fill   func(m *krpc.Message, to krpc.NodeInfo)
	// Lookup is the one that found the nodes: its query gets another token from a
	// node that does not take the first. A lookup can outlast a token, and our
	// address may have changed meanwhile.
	Lookup Lookup
	// Done is called once. It may not block.
	Done func(StoreResult)
}

// StoreResult is how a STORE ended.
type StoreResult struct {
	Stored   int            // nodes that have stored it
	Asked    int            // nodes that were asked to
	Failures []StoreFailure // of the nodes asked
}

// Add adds what was stored elsewhere to r.
func (r *StoreResult) Add(o StoreResult) {
	r.Stored += o.Stored
	r.Asked += o.Asked
	r.Failures = append(r.Failures, o.Failures...)
}

// StoreFailure is a node that has not stored what it was asked to: it sent an error
// (an *krpc.Error), has not answered in time (krpc.ErrTimeout), was not waited for
// (ErrStopped), or has given no token (ErrNoToken).
type StoreFailure struct {
	Node krpc.NodeInfo
	Err  error
}

// Store asks the nodes at to store, each with the token it gave. stop ends it early.
func (n *Node) Store(at []Contact, cfg Store) (stop func()) {
	n.mu.Lock()
	defer n.unlock()
	s := &storing{n: n, cfg: cfg, res: StoreResult{Asked: len(at)}}
	for _, c := range at {
		r := &storeRequest{s: s, to: c.NodeInfo}
		s.open = append(s.open, r)
	}
	for i, r := range slices.Clone(s.open) {
		if token := at[i].Token; goodToken(token) {
			r.send(token)
		} else {
			r.end(ErrNoToken)
		}
	}
	if len(at) == 0 {
		s.settle()
	}
	return func() {
		n.mu.Lock()
		defer n.unlock()
		for len(s.open) > 0 {
			s.open[0].end(ErrStopped)
		}
	}
}

// goodToken tells whether a node may be asked to store with token: without one it has
// no room (BEP 33).
func goodToken(token []byte) bool { return len(token) > 0 && len(token) <= maxToken }

// storing is a STORE under way. The node's mu guards it.
type storing struct {
	n    *Node
	cfg  Store
	open []*storeRequest // that have not ended
	res  StoreResult
}

// settle calls Done when all requests have ended.
func (s *storing) settle() {
	if len(s.open) == 0 {
		res := s.res
		if len(res.Failures) > 0 {
			s.n.forget(s.cfg.Lookup.Target)
		}
		s.n.later(func() { s.cfg.Done(res) })
	}
}

// storeRequest is the request to one node.
type storeRequest struct {
	s       *storing
	to      krpc.NodeInfo
	renewed bool
	ended   bool
}

func (r *storeRequest) send(token []byte) {
	r.ask(r.s.cfg.Method, func(m *krpc.Message) {
		r.s.cfg.Fill(m, r.to)
		m.Token = token
	}, func(_ *krpc.Message, err error) {
		var refused *krpc.Error
		if !r.renewed && errors.As(err, &refused) && refused.Code == krpc.CodeProtocol {
			r.renewed = true
			r.renew(err)
			return
		}
		r.end(err)
	})
}

// renew asks for another token and tries once more.
func (r *storeRequest) renew(refused error) {
	r.ask(r.s.cfg.Lookup.Method, r.s.cfg.Lookup.Fill, func(m *krpc.Message, err error) {
		switch {
		case err != nil:
			r.end(err)
		case !goodToken(m.Token):
			r.end(refused)
		default:
			r.send(slices.Clone(m.Token))
		}
	})
}

func (r *storeRequest) ask(m krpc.Method, fill func(*krpc.Message), done func(*krpc.Message, error)) {
	r.s.n.ask(&query{to: r.to, method: m, fill: fill, later: r.s.cfg.Lookup.Later, onDone: func(m *krpc.Message, _ time.Duration, err error) {
		if !r.ended {
			done(m, err)
		}
	}})
}

func (r *storeRequest) end(err error) {
	r.ended = true
	s := r.s
	s.open = slices.DeleteFunc(s.open, func(o *storeRequest) bool { return o == r })
	if err == nil {
		s.res.Stored++
	} else {
		s.res.Failures = append(s.res.Failures, StoreFailure{r.to, err})
	}
	s.settle()
}

package tracker

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// maxToken is the longest token that is sent back; the longest seen has 40 bytes.
const maxToken = 128

// ErrNoPort refuses to announce a peer at port 0.
var ErrNoPort = errors.New("tracker: announce: port is 0")

// AnnounceOptions says what to announce.
type AnnounceOptions struct {
	// Port is where the peer listens. It may be 0 only if ImpliedPort is set.
	Port uint16
	// ImpliedPort asks nodes to take the port that they see the announce come
	// from (BEP 5): right for a client that shares the DHT's port, behind a NAT
	// above all. Port, or if that is 0 the node's own, goes to those nodes that do
	// not know of it.
	ImpliedPort bool
	// Seed says that the peer has everything (BEP 33).
	Seed bool
}

func (o AnnounceOptions) validate() error {
	if o.Port == 0 && !o.ImpliedPort {
		return ErrNoPort
	}
	return nil
}

// AnnounceResult is how an announce ended.
type AnnounceResult struct {
	Stored   int                     // nodes that have stored the peer
	Asked    int                     // nodes that were asked to
	Peers    int                     // distinct peers found on the way
	Failures []AnnounceFailure       // of the nodes asked
	Lookups  []kademlia.LookupResult // in the order of the nodes
}

// AnnounceFailure is a node that has not stored the peer: it sent an error (an
// *krpc.Error), has not answered in time (krpc.ErrTimeout), or was not waited for
// (kademlia.ErrStopped).
type AnnounceFailure struct {
	Node krpc.NodeInfo
	Err  error
}

// AnnouncePeer announces this host as a peer of ih at every node: each looks up
// ih and asks the k closest nodes that gave it a token to store its address. onPeer
// is told of the peers on the way and may be nil; it and onDone are called as by
// FindPeers. stop ends the announce early. The error is nil or ErrNoPort.
func (t *Tracker) AnnouncePeer(ih krpc.ID, o AnnounceOptions, onPeer func(netip.AddrPort), onDone func(AnnounceResult)) (stop func(), err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	a := t.newAnnounce(ih, o, onDone)
	a.onPeer = onPeer
	a.start()
	return a.stop, nil
}

// announce is a search, followed at each node by stores as soon as its lookup has
// ended. Its fields are used by the search's events alone.
type announce struct {
	search
	o          AnnounceOptions
	onLookedUp func() // nil, or called once, when all lookups have ended
	onDone     func(AnnounceResult)

	holders [][]kademlia.Contact // by node: who gave it a token
	stores  []*store
	lookups int // under way
	waiting int // lookups and stores under way
	res     AnnounceResult
}

func (t *Tracker) newAnnounce(ih krpc.ID, o AnnounceOptions, onDone func(AnnounceResult)) *announce {
	a := &announce{
		search:  search{t: t, ih: ih, kind: kademlia.LookupAnnounce},
		o:       o,
		onDone:  onDone,
		holders: make([][]kademlia.Contact, len(t.nodes)),
		lookups: len(t.nodes),
		waiting: len(t.nodes),
	}
	a.onReply, a.onEnd = a.replied, a.lookedUp
	return a
}

// stop ends the announce early: the stores under way end with ErrStopped.
func (a *announce) stop() {
	a.search.stop()
	a.events.do(func() {
		for _, s := range a.stores {
			s.end(kademlia.ErrStopped)
		}
	})
}

func (a *announce) replied(i int, from krpc.NodeInfo, r *krpc.Message) {
	if goodToken(r.Token) {
		a.holders[i] = append(a.holders[i], kademlia.Contact{NodeInfo: from, Token: r.Token})
	}
}

// goodToken tells whether a node may be announced to with token: without one it
// has no room (BEP 33), and the next closest takes its place.
func goodToken(token []byte) bool { return len(token) > 0 && len(token) <= maxToken }

// lookedUp goes on with the stores of node i.
func (a *announce) lookedUp(i int) {
	if a.results[i].Err == nil && !a.stopped {
		a.storeAt(i)
	}
	if a.lookups--; a.lookups == 0 && a.onLookedUp != nil {
		a.onLookedUp()
	}
	a.settle()
}

// storeAt asks the k closest nodes that gave node i a token.
func (a *announce) storeAt(i int) {
	n, closest := a.t.nodes[i], a.holders[i]
	slices.SortFunc(closest, func(x, y kademlia.Contact) int {
		return krpc.CompareDistance(x.ID, y.ID, a.ih)
	})
	for _, c := range closest[:min(len(closest), n.K())] {
		s := &store{a: a, n: n, to: c.NodeInfo}
		a.stores = append(a.stores, s)
		a.waiting++
		a.res.Asked++
		s.send(c.Token)
	}
}

// settle takes note that a lookup or a store has ended.
func (a *announce) settle() {
	if a.waiting--; a.waiting > 0 {
		return
	}
	a.res.Peers, a.res.Lookups = len(a.peers), a.results
	if !a.stopped {
		a.t.counters.announces.Add(1)
		if a.res.Stored == 0 {
			a.t.counters.announcesFailed.Add(1)
		}
	}
	a.onDone(a.res)
}

// store is the request to one node to store the peer.
type store struct {
	a       *announce
	n       *kademlia.Node // ours
	to      krpc.NodeInfo
	renewed bool
	ended   bool
}

func (s *store) send(token []byte) {
	port := s.a.o.Port
	if port == 0 {
		port = s.n.LocalAddr().Port()
	}
	s.query(krpc.MethodAnnouncePeer, func(m *krpc.Message) {
		m.Token, m.Port, m.ImpliedPort, m.Seed = token, port, s.a.o.ImpliedPort, s.a.o.Seed
	}, s.answered)
}

func (s *store) query(m krpc.Method, fill func(*krpc.Message), done func(*krpc.Message, error)) {
	s.n.Query(s.to, m, func(m *krpc.Message) {
		m.HasInfoHash, m.InfoHash = true, s.a.ih
		fill(m)
	}, func(r *krpc.Message, _ time.Duration, err error) {
		s.a.events.do(func() {
			if !s.ended {
				done(r, err)
			}
		})
	})
}

// answered ends the store, unless it was refused for what may be an old token: a
// lookup can outlast one, or our address may have changed meanwhile.
func (s *store) answered(_ *krpc.Message, err error) {
	var refused *krpc.Error
	if !s.renewed && errors.As(err, &refused) && refused.Code == krpc.CodeProtocol {
		s.renewed = true
		s.renew(err)
		return
	}
	s.end(err)
}

// renew asks for another token and tries once more.
func (s *store) renew(refused error) {
	s.query(krpc.MethodGetPeers, func(*krpc.Message) {}, func(r *krpc.Message, err error) {
		switch {
		case err != nil:
			s.end(err)
		case !goodToken(r.Token):
			s.end(refused)
		default:
			s.send(r.Token)
		}
	})
}

func (s *store) end(err error) {
	if s.ended {
		return
	}
	s.ended = true
	if err == nil {
		s.a.res.Stored++
	} else {
		s.a.res.Failures = append(s.a.res.Failures, AnnounceFailure{s.to, err})
	}
	s.a.settle()
}

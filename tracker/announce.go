package tracker

import (
	"errors"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

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
	kademlia.StoreResult                         // of all nodes of the program
	Peers                int                     // distinct peers found on the way
	Lookups              []kademlia.LookupResult // in the order of the nodes
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

	stops   []func() // of the stores
	lookups int      // under way
	waiting int      // lookups and stores under way
	res     AnnounceResult
}

func (t *Tracker) newAnnounce(ih krpc.ID, o AnnounceOptions, onDone func(AnnounceResult)) *announce {
	a := &announce{
		search:  search{t: t, ih: ih, kind: kademlia.LookupAnnounce},
		o:       o,
		onDone:  onDone,
		lookups: len(t.nodes),
		waiting: len(t.nodes),
	}
	a.onEnd = a.lookedUp
	return a
}

// stop ends the announce early: the stores under way end with ErrStopped.
func (a *announce) stop() {
	a.search.stop()
	a.events.Do(func() {
		for _, stop := range a.stops {
			stop()
		}
	})
}

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
	n := a.t.nodes[i]
	port := a.o.Port
	if port == 0 {
		port = n.LocalAddr().Port()
	}
	a.waiting++
	a.stops = append(a.stops, n.Store(a.results[i].Willing, kademlia.Store{
		Method: krpc.MethodAnnouncePeer,
		Fill: func(m *krpc.Message, _ krpc.NodeInfo) {
			m.HasInfoHash, m.InfoHash = true, a.ih
			m.Port, m.ImpliedPort, m.Seed = port, a.o.ImpliedPort, a.o.Seed
		},
		Lookup: a.lookup(i, n),
		Done: func(res kademlia.StoreResult) {
			a.events.Do(func() {
				a.res.Add(res)
				a.settle()
			})
		},
	}))
}

// settle takes note that a lookup has ended, or the stores of a node.
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

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
	// Reuse has a search for the same peers that ended within the last four minutes do: its
	// nodes and tokens are used again, and nobody is asked for peers.
	Reuse bool
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
	a.start(a.lookup, a.settle)
	return a.Stop, nil
}

// announce is a search, followed at each node by stores as soon as its lookup has
// ended.
type announce struct {
	search
	o       AnnounceOptions
	onDone  func(AnnounceResult)
	waiting int // stores under way, of a node each, and the search
	res     AnnounceResult
}

func (t *Tracker) newAnnounce(ih krpc.ID, o AnnounceOptions, onDone func(AnnounceResult)) *announce {
	return &announce{
		search:  search{t: t, ih: ih, kind: kademlia.LookupAnnounce},
		o:       o,
		onDone:  onDone,
		waiting: 1,
	}
}

func (a *announce) lookup(i int) kademlia.Lookup {
	l := a.search.lookup(i)
	l.Reuse = a.o.Reuse
	l.Done = func(kademlia.LookupResult) { a.storeAt(i) }
	return l
}

// storeAt asks the k closest nodes that gave node i a token.
func (a *announce) storeAt(i int) {
	if a.Results[i].Err != nil || a.Stopped {
		return
	}
	port := a.o.Port
	if port == 0 {
		port = a.t.nodes[i].LocalAddr().Port()
	}
	a.waiting++
	a.Store(i, a.Results[i].Willing, kademlia.Store{
		Method: krpc.MethodAnnouncePeer,
		Fill: func(m *krpc.Message, _ krpc.NodeInfo) {
			m.HasInfoHash, m.InfoHash = true, a.ih
			m.Port, m.ImpliedPort, m.Seed = port, a.o.ImpliedPort, a.o.Seed
		},
		Done: func(res kademlia.StoreResult) {
			a.res.Add(res)
			a.settle()
		},
	})
}

// settle takes note that the search has ended, or the stores of a node.
func (a *announce) settle() {
	if a.waiting--; a.waiting > 0 {
		return
	}
	a.res.Peers, a.res.Lookups = len(a.peers), a.Results
	if !a.Stopped {
		a.t.counters.announces.Add(1)
		if a.res.Stored == 0 {
			a.t.counters.announcesFailed.Add(1)
		}
	}
	a.onDone(a.res)
}

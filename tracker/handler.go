package tracker

import (
	"errors"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// The size of a list of peers on the wire, in bytes: of each peer (BEP 5, BEP 32),
// and of the key with the list's own l and e.
const (
	value4Len = len("6:") + 4 + 2
	value6Len = len("18:") + 16 + 2
	valuesLen = len("6:valuesle")
)

// The errors that announces are answered with. They are made once, since an
// attacker chooses how often they are sent, and never changed.
var (
	errBadToken   = &krpc.Error{Code: krpc.CodeProtocol, Text: "bad token"}
	errFull       = &krpc.Error{Code: krpc.CodeServer, Text: "store is full"}
	errSubnetFull = &krpc.Error{Code: krpc.CodeServer, Text: "too many peers or torrents of your subnet"}
)

// serveGetPeers answers get_peers: with the closest nodes, always (BEP 32), with
// as many random peers of the node's family as fit, with a token if an announce
// would be accepted, and with the swarm's filters if they are asked for.
func (t *Tracker) serveGetPeers(n *kademlia.Node, rq *krpc.Request) error {
	q := &rq.Query
	n.AddNodes(rq, q.InfoHash)
	// It leaves room for the peers, so that it is there before it is known to be due.
	rq.Reply.Token = n.AppendToken(rq.Scratch(kademlia.TokenLen), rq.From.Addr(), q.InfoHash)
	if q.Scrape && !rq.Brief() {
		t.addFilters(n, rq)
	}
	if !t.addValues(n, rq) {
		rq.Reply.Token = nil
		t.counters.tokensWithheld.Add(1)
	}
	return nil
}

// addValues fills the reply with peers. It returns whether the asker may announce. Not so
// if the store is full, and if he is a martian: others could not reach him. Without a
// token his announce fails too.
func (t *Tracker) addValues(n *kademlia.Node, rq *krpc.Request) (mayAnnounce bool) {
	o := SampleOptions{V6: n.Is6(), NoSeed: rq.Query.NoSeed}
	size := value4Len
	if o.V6 {
		size = value6Len
	}
	o.Max = max(0, (rq.Room()-valuesLen)/size)
	var asker netip.Addr
	if n.Usable(rq.From) {
		asker = rq.From.Addr()
	}
	values, full := t.store.SampleAndFull(rq.Scratch(o.Max*size), rq.Query.InfoHash, o, asker, rq.Now)
	if len(values) > 0 {
		rq.Reply.Values = values
	}
	return asker.IsValid() && !full
}

// serveAnnouncePeer answers announce_peer: it stores the asker as a peer. The
// endpoint has refused port 0.
func (t *Tracker) serveAnnouncePeer(n *kademlia.Node, rq *krpc.Request) error {
	q := &rq.Query
	if !n.ValidToken(q.Token, rq.From.Addr(), q.InfoHash) {
		return errBadToken
	}
	rq.Proved()
	peer := rq.From
	if !q.ImpliedPort {
		peer = netip.AddrPortFrom(peer.Addr(), q.Port)
	}
	err := t.store.Announce(q.InfoHash, peer, q.Seed, rq.Now)
	if err == nil {
		return nil
	}
	t.counters.announcesRefused.Add(1)
	if errors.Is(err, ErrSubnetFull) {
		return errSubnetFull
	}
	return errFull
}

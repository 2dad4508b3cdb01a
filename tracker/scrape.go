package tracker

import (
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// The lengths of a filter (BEP 33) and of node infos (BEP 5, BEP 32) on the wire.
const (
	bloomLen = len(krpc.Bloom{})
	node4Len = krpc.IDLen + 4 + 2
	node6Len = krpc.IDLen + 16 + 2
)

// addFilters puts the filters of the swarm into the reply to a scrape, and takes
// nodes out for which no room is left: two filters are half of krpc.MaxReply.
func (t *Tracker) addFilters(n *kademlia.Node, rq *krpc.Request) {
	seeds, peers := rq.Scratch(bloomLen)[:bloomLen], rq.Scratch(bloomLen)[:bloomLen]
	if !t.swarms.Scrape(rq.Query.InfoHash, (*krpc.Bloom)(seeds), (*krpc.Bloom)(peers), rq.Now) {
		return
	}
	t.counters.scrapes.Add(1)
	r := &rq.Reply
	r.BFsd, r.BFpe = seeds, peers
	r.Nodes = r.Nodes[:min(len(r.Nodes), kademlia.DefaultK*node4Len)]
	r.Nodes6 = r.Nodes6[:min(len(r.Nodes6), kademlia.DefaultK*node6Len)]
	if r.Nodes == nil || r.Nodes6 == nil || rq.Room() >= 0 {
		return
	}
	if n.Is6() { // the asker's family is our own
		r.Nodes = nil
	} else {
		r.Nodes6 = nil
	}
}

package tracker

import (
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// bloomLen is the length of a filter on the wire, in bytes.
const bloomLen = len(krpc.Bloom{})

// addFilters puts the filters of the swarm into the reply to a scrape, and takes
// nodes out for which no room is left: two filters are half of krpc.MaxReply.
func (t *Tracker) addFilters(n *kademlia.Node, rq *krpc.Request) {
	seeds, peers := rq.Scratch(bloomLen)[:bloomLen], rq.Scratch(bloomLen)[:bloomLen]
	if !t.store.Scrape(rq.Query.InfoHash, (*krpc.Bloom)(seeds), (*krpc.Bloom)(peers), rq.Now) {
		return
	}
	t.counters.scrapes.Add(1)
	r := &rq.Reply
	r.BFsd, r.BFpe = seeds, peers
	r.KeepNodes(kademlia.DefaultK, kademlia.DefaultK)
	// The asker is of our family. The other list goes as a whole, so that peers fit too.
	switch {
	case rq.Room() >= 0:
	case n.Is6():
		r.Nodes = nil
	default:
		r.Nodes6 = nil
	}
}

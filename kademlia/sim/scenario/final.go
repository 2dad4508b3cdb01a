package scenario

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

const (
	// finalTries is how many hosts look something up before it counts as lost: one lookup in a
	// hundred misses one of the nodes that it should end at, since that was slow.
	finalTries = 3
	finalPause = 30 * time.Second
	finalTime  = finalTries * finalPause
	// finalDemands bounds the swarms and items that are demanded.
	finalDemands = 200
	// settledTime is how long a host has to be up for its peers and items to be demanded: it
	// has announced, and put, for an interval.
	settledTime = 25 * time.Minute
	// maxDeadShare bounds the dead among the contacts that are handed out, of a world in which
	// nothing has gone wrong for SettleTime.
	maxDeadShare = .02
	// maxSilentShare bounds those that were silent for 15 minutes: they are pinged within three.
	maxSilentShare = .1
)

// demand is something that has to be found. try asks once and tells by found.
type demand struct {
	what string
	try  func(found func())
	met  bool
}

// final holds the settled world to what it has acknowledged: it is found.
func (w *world) final() {
	if w.stopped {
		return
	}
	w.checkTables()
	demands := append(w.demandedPeers(), w.demandedItems()...)
	w.report.demanded = len(demands)
	for range finalTries {
		for _, d := range demands {
			if !d.met {
				d.try(func() { d.met = true })
			}
		}
		w.pass(finalPause)
	}
	for _, d := range demands {
		if !d.met && !w.stopped {
			w.broken("%s is not found, though nothing has gone wrong for %v", d.what, SettleTime)
		}
	}
	for _, h := range w.hosts {
		w.checkSettled(h)
	}
}

// checkTables: the dead are no contacts any more, and the others have been heard of lately.
func (w *world) checkTables() {
	contacts, silent := 0, 0
	for _, h := range w.hosts {
		if h.watched && h.stable(settledTime) {
			for _, n := range h.life.nodes {
				st := n.Stats()
				contacts += st.Nodes()
				for _, b := range st.Buckets {
					silent += b.Questionable
				}
			}
		}
	}
	if share := float64(silent) / float64(max(contacts, 1)); share > maxSilentShare && contacts > 100 {
		w.broken("%.1f%% of the contacts are overdue for a ping", 100*share)
	}
	if t := w.measureTables(settledTime); t.Dead > maxDeadShare && t.Dead*t.Contacts > 1 {
		w.broken("%.1f%% of the contacts are dead, though nothing has gone wrong for %v", 100*t.Dead, SettleTime)
	}
}

// checkSettled: who has been up for long has joined, and so knows others.
func (w *world) checkSettled(h *host) {
	if !h.watched || !h.stable(settledTime) {
		return
	}
	for i, n := range h.life.nodes {
		others := w.reachable(h.ends[i])
		if st := n.Stats(); len(others) > 0 && (!st.Joined || st.Nodes() == 0) {
			w.broken("%v has not joined, with %d contacts, though there are %d others", h.name(), st.Nodes(), len(others))
		}
	}
}

// hasOthers tells whether h can ask anybody: all others may be behind NATs.
func (w *world) hasOthers(h *host) bool {
	return slices.ContainsFunc(h.ends, func(e *end) bool { return len(w.reachable(e)) > 0 })
}

// reachable returns the nodes that can be asked by e, but for itself.
func (w *world) reachable(e *end) (nodes []krpc.NodeInfo) {
	for _, h := range w.hosts {
		if h == e.host || !h.public() {
			continue
		}
		for i, o := range h.ends {
			if o.is6() == e.is6() {
				nodes = append(nodes, krpc.NodeInfo{ID: h.life.nodes[i].ID(), Addr: o.addr})
			}
		}
	}
	return nodes
}

// demandedPeers: each who shares something is found by others of his family.
func (w *world) demandedPeers() (demands []*demand) {
	for _, s := range w.swarms[:min(len(w.swarms), finalDemands)] {
		for _, member := range s.members {
			for i, e := range member.ends {
				if member.watched && member.stable(settledTime) && len(w.reachable(e)) > 0 {
					demands = append(demands, w.demandPeer(s, member, i))
				}
			}
		}
	}
	return demands
}

func (w *world) demandPeer(s *swarm, member *host, i int) *demand {
	e := member.ends[i]
	d := &demand{what: "the peer " + e.addr.String() + " of " + s.infoHash.String()}
	d.try = func(found func()) {
		asker := w.someHost(func(h *host) bool { return h != member && h.speaks(e.is6()) && h.stable(settledTime) })
		if asker == nil {
			found() // there is nobody to find it
			return
		}
		o := asker.life.begin("final get_peers")
		asker.life.tracker.FindPeers(s.infoHash, func(peer netip.AddrPort) {
			if peer.Addr() == e.addr.Addr() {
				found()
			}
		}, func(tracker.PeersResult) { o.end() })
	}
	return d
}

// demandedItems: an item is found if one of the k nodes that are closest to it holds it, in the
// newest version that they have, or if a program keeps it that has been up for long.
func (w *world) demandedItems() (demands []*demand) {
	for _, it := range w.items[:min(len(w.items), finalDemands)] {
		seq, held := w.heldNear(it)
		if keeper := it.keeper; keeper != nil && !keeper.dead && keeper.h.stable(settledTime) && keeper.items.Keeps(it.target) && w.hasOthers(keeper.h) {
			seq, held = max(seq, it.item.Seq), true
		}
		if held {
			demands = append(demands, w.demandItem(it, seq))
		}
	}
	return demands
}

func (w *world) demandItem(it *published, seq int64) *demand {
	// Who has addresses of all families asks in all of them.
	d := &demand{what: "the item " + it.target.String()}
	d.try = func(found func()) {
		asker := w.someHost(func(h *host) bool { return len(h.ends) == len(w.cfg.Family.of(0)) && h.stable(settledTime) })
		if asker == nil {
			found()
			return
		}
		o := asker.life.begin("final get")
		asker.life.items.FindItem(it.target, store.GetOptions{Salt: it.item.Salt}, func(res store.FindResult) {
			if o.end(); res.Found && res.Item.Seq >= seq {
				found()
			}
		})
	}
	return d
}

// heldNear returns the newest version of an item that one of the closest nodes of a family holds.
func (w *world) heldNear(it *published) (seq int64, held bool) {
	for _, v6 := range w.cfg.Family.of(0) {
		for _, near := range w.closest(it.target, v6, kademlia.DefaultK) {
			h := w.byAddr[near.Addr.Addr()]
			if s, ok := h.life.holds(it.target); ok && h.stable(settledTime) {
				seq, held = max(seq, s), true
			}
		}
	}
	return seq, held
}

// closest returns the up to k nodes of a family that can be asked and are closest to target,
// closest first.
func (w *world) closest(target krpc.ID, v6 bool, k int) []krpc.NodeInfo {
	best := make([]krpc.NodeInfo, 0, k+1)
	for _, h := range w.hosts {
		if !h.public() {
			continue
		}
		for i, e := range h.ends {
			if e.is6() != v6 {
				continue
			}
			n := krpc.NodeInfo{ID: h.life.nodes[i].ID(), Addr: e.addr}
			at, _ := slices.BinarySearchFunc(best, n, func(a, b krpc.NodeInfo) int {
				return krpc.CompareDistance(a.ID, b.ID, target)
			})
			if at < k {
				best = slices.Insert(best, at, n)
				best = best[:min(len(best), k)]
			}
		}
	}
	return best
}

package mainline

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// libtorrentTop is the size of the farthest bucket; the next ones have half of
	// the one before, down to k.
	libtorrentTop    = 128
	libtorrentSpares = 8
)

// libtorrentContact is an entry of a libtorrentTable.
type libtorrentContact struct {
	krpc.NodeInfo
	rtt    time.Duration
	failed bool // has left the last query unanswered
}

// libtorrentTable is the routing table of libtorrent 2.0.8: only nodes that have
// replied are in it. A full bucket prefers contacts that differ in the bits after
// those of the bucket, and then the quick ones; who fails makes room for a
// replacement.
type libtorrentTable struct {
	self    krpc.ID
	buckets [8 * krpc.IDLen]struct{ live, spares []libtorrentContact }
}

func libtorrentCapacity(depth int) int { return max(k, libtorrentTop>>min(depth, 16)) }

// seen takes note of a reply.
func (t *libtorrentTable) seen(n krpc.NodeInfo, rtt time.Duration) {
	depth := t.self.CommonPrefixLen(n.ID)
	if depth == len(t.buckets) || t.renamed(n) {
		return
	}
	b := &t.buckets[depth]
	c := libtorrentContact{NodeInfo: n, rtt: rtt}
	if i := indexOf(b.live, n); i >= 0 {
		b.live[i].failed = false
		b.live[i].rtt = (b.live[i].rtt*2 + rtt) / 3
		return
	}
	if i := indexOf(b.spares, n); i >= 0 {
		b.spares = slices.Delete(b.spares, i, i+1)
	}
	if len(b.live) < libtorrentCapacity(depth) {
		b.live = append(b.live, c)
		return
	}
	if i := expendable(b.live, c, depth); i >= 0 {
		b.live[i] = c
		return
	}
	if len(b.spares) == libtorrentSpares {
		b.spares = slices.Delete(b.spares, 0, 1)
	}
	b.spares = append(b.spares, c)
}

// renamed removes a contact at n's address that has another id, and tells whether
// there was one.
func (t *libtorrentTable) renamed(n krpc.NodeInfo) bool {
	for i := range t.buckets {
		live := &t.buckets[i].live
		before := len(*live)
		*live = slices.DeleteFunc(*live, func(c libtorrentContact) bool { return c.Addr == n.Addr && c.ID != n.ID })
		if len(*live) < before {
			return true
		}
	}
	return false
}

// expendable returns the index of the contact in a full bucket that c is better
// than; -1: there is none.
func expendable(live []libtorrentContact, c libtorrentContact, depth int) int {
	if i := slices.IndexFunc(live, func(o libtorrentContact) bool { return o.failed }); i >= 0 {
		return i
	}
	bitsAfter := bits.Len(uint(libtorrentCapacity(depth))) - 1
	branch := func(id krpc.ID) uint64 { return prefixOf(id) << (depth + 1) >> (64 - bitsAfter) }
	crowd := make([]int, 1<<bitsAfter)
	for i := range live {
		crowd[branch(live[i].ID)]++
	}
	own := branch(c.ID)
	worst := -1
	for i := range live {
		b := branch(live[i].ID)
		rival := b == own && live[i].rtt > c.rtt || crowd[own] == 0 && crowd[b] > 1
		if rival && (worst < 0 || live[i].rtt > live[worst].rtt) {
			worst = i
		}
	}
	return worst
}

// failed takes note that n has not answered, not in time at least.
func (t *libtorrentTable) failed(n krpc.NodeInfo) {
	depth := t.self.CommonPrefixLen(n.ID)
	if depth == len(t.buckets) {
		return
	}
	b := &t.buckets[depth]
	i := indexOf(b.live, n)
	if i < 0 {
		return
	}
	b.live[i].failed = true
	if len(b.spares) > 0 {
		quickest := 0
		for j := range b.spares {
			if b.spares[j].rtt < b.spares[quickest].rtt {
				quickest = j
			}
		}
		b.live[i] = b.spares[quickest]
		b.spares = slices.Delete(b.spares, quickest, quickest+1)
	}
}

// closest returns the k contacts closest to target, those that have failed
// included.
func (t *libtorrentTable) closest(target krpc.ID) []krpc.NodeInfo {
	var all []krpc.NodeInfo
	for i := range t.buckets {
		for _, c := range t.buckets[i].live {
			all = append(all, c.NodeInfo)
		}
	}
	slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return all[:min(len(all), k)]
}

func indexOf(list []libtorrentContact, n krpc.NodeInfo) int {
	return slices.IndexFunc(list, func(c libtorrentContact) bool { return c.NodeInfo == n })
}

// networkOf returns the /24 of an address: a lookup has one node of each.
func networkOf(a netip.AddrPort) netip.Prefix {
	p, _ := a.Addr().Prefix(24)
	return p
}

package kademlia

import (
	"math"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxBypasses bounds the shells that a lookup tries to find one without a crowd.
	maxBypasses = 6
	// maxCrowd is how much of the memory a crowd may fill before no way past it starts there.
	maxCrowd = 512
)

// bypass is the way of a lookup past a crowd around its target. Those who store and those who
// search have to meet there, so that it follows from the target and from the size of the network
// alone, as far as both see them alike.
//
// Whoever shares more than a certain number of bits with the target is left out: in an honest
// network that would be half of k to k nodes. Next to that are the nodes that share just so many
// bits, the shell, and the lookup goes on to the k that are closest to the target with its next
// bit flipped. If there is a crowd, too, the shell with one bit less takes its place. And so that
// who sees the size a little differently is met, k of the shell after that are added.
type bypass struct {
	shell   int // leading bits shared with the target
	shells  int // that were tried
	found   bool
	nodes   []krpc.NodeInfo // to be asked as the others were
	queries int             // sent on the way
	closest []Contact       // where the lookup ended at first
	willing []Contact
	sub     *traversal // the lookup in the shell
}

// conclude ends a lookup that has nothing more to ask, unless it finds too many nodes too close
// to its target.
func (t *traversal) conclude() {
	n := t.n
	if t.past != nil || !t.wary() {
		t.finish(nil)
		return
	}
	shares, reach := sharesTo(t.cfg.Target, t.l.nearest(farReach*n.cfg.K)), t.l.k/n.cfg.K
	c := n.sample.crowding(shares, n.cfg.K, minSample)
	if c.chance < crowdChance {
		t.alarm = n.suspect(suspicion{t.cfg.Target, shares, c})
	} else if closer := closerLook(reach, c.chance); closer > reach {
		t.l.k = closer * n.cfg.K
		return
	} else if t.alarm = n.underAlarm(t.cfg.Target); !t.alarm && c.chance < suspectChance {
		t.l.k = crowdReach * n.cfg.K
		t.finish(nil) // with all of them, of whom some are honest
		return
	}
	t.l.k = n.cfg.K
	if !t.alarm || t.cfg.Kind == LookupUpkeep || n.outerShell() < 0 {
		t.finish(nil)
		return
	}
	t.past = &bypass{shell: n.outerShell(), closest: t.l.closest(), willing: t.l.willing(), queries: t.l.queries}
	t.tryShell()
}

// wary tells whether nodes may have been placed at the target: those of upkeep but for our own
// id, of find_node and of samples were not known before. About its own neighbours a node says
// nothing at first: where a whole network starts, it has grown since its size was last seen.
func (t *traversal) wary() bool {
	n := t.n
	switch {
	case t.cfg.shun != nil || t.cfg.random(n.table.self):
		return false
	case t.cfg.Kind == LookupUpkeep && n.table.at(n.now()) < instant(alarmAge):
		return false
	}
	return len(t.l.nearest(n.cfg.K)) == n.cfg.K
}

// outerShell returns the number of bits that the nodes next to a crowd share with its target: that
// many and no more; below 0: the network is too small for one.
func (n *Node) outerShell() int {
	return int(math.Floor(math.Log2(max(1, 2*n.size.nodes(n.cfg.K)/float64(n.cfg.K))))) - 1
}

// tryShell looks up the nodes next to the crowd.
func (t *traversal) tryShell() {
	p, target, bits := t.past, t.cfg.Target, t.past.shell
	p.shells++
	flipped := target
	flipped[bits/8] ^= 0x80 >> (bits % 8)
	sub := t.n.lookup(Lookup{
		Target: flipped, Kind: t.cfg.Kind, Later: t.cfg.Later,
		shun:  func(id krpc.ID) bool { return id.CommonPrefixLen(target) > bits },
		ended: t.triedShell,
	})
	if !sub.over { // or another one is under way by now
		p.sub = sub
	}
}

// elsewhere tells whether the lookup waits for one in a shell.
func (t *traversal) elsewhere() bool { return t.past != nil && !t.l.fixed }

// triedShell takes in whom that has found.
func (t *traversal) triedShell(res LookupResult) {
	p := t.past
	if t.over || res.Err != nil {
		return
	}
	p.queries += res.Queries
	last := p.shell == 0 || p.shells == maxBypasses
	if k := t.n.cfg.K; !p.found && !last && len(res.Closest) == k {
		target := t.cfg.Target
		target[p.shell/8] ^= 0x80 >> (p.shell % 8)
		if t.n.sample.crowding(sharesTo(target, res.Closest), k, minSample).chance < doubtfulChance {
			p.shell--
			t.tryShell()
			return
		}
	}
	for _, c := range res.Closest {
		known := func(o Contact) bool { return o.NodeInfo == c.NodeInfo }
		if !slices.Contains(p.nodes, c.NodeInfo) && !slices.ContainsFunc(p.closest, known) {
			p.nodes = append(p.nodes, c.NodeInfo)
		}
	}
	if !p.found && p.shell > 0 {
		p.found = true
		p.shell--
		t.tryShell()
		return
	}
	t.askBeyond()
}

// askBeyond asks the nodes beyond the crowd what those in it were asked.
func (t *traversal) askBeyond() {
	t.l = newLookup(t.cfg.Target, len(t.past.nodes), max(t.l.alpha, t.n.cfg.Alpha))
	for _, node := range t.past.nodes {
		t.l.add(node, 1)
	}
	t.l.tokens, t.l.fixed = t.cfg.Tokens, true
	t.step()
}

// result returns what the lookup has come to, those beyond a crowd included.
func (t *traversal) result(err error) LookupResult {
	res := LookupResult{Closest: t.l.nearest(t.n.cfg.K), Willing: t.l.willing(), Queries: t.l.queries, Replies: t.replies, Took: t.n.now().Sub(t.started), Alarm: t.alarm, Err: err}
	if p := t.past; p != nil {
		res.Closest, res.Queries = p.closest, p.queries
		if t.l.fixed {
			res.Willing = slices.Concat(p.willing, res.Willing)
			res.Queries += t.l.queries
		}
	}
	if len(res.Closest) > 0 {
		res.Hops = res.Closest[0].Hops
	}
	return res
}

// contactsOutside returns the contacts closest to target that are not to be shunned. It looks at
// all of the table, and at more of the memory than others do: those closest are the crowd.
func (n *Node) contactsOutside(target krpc.ID, shun func(krpc.ID) bool) []contactRTT {
	list := n.table.closestOfAll(target, math.MaxInt)
	for _, r := range n.table.memory.closest(target, maxCrowd, n.table.at(n.now())) {
		list = append(list, contactRTT{r.info(), r.rtt})
	}
	list = slices.DeleteFunc(list, func(c contactRTT) bool { return shun(c.ID) })
	slices.SortFunc(list, func(a, b contactRTT) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return list[:min(len(list), 2*MaxK)]
}

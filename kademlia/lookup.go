package kademlia

import (
	"cmp"
	"slices"
	"sort"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxCandidates bounds the nodes that a lookup keeps in mind; the farthest
	// goes first.
	maxCandidates = 128
	// maxFromReply bounds the nodes taken from one reply, the closest. Most honest nodes send
	// eight, or twenty; bittorrent-dht sends all that it knows, its dead ones among them.
	maxFromReply = 20
	// maxQueries ends a lookup that somebody feeds with ever closer nodes.
	maxQueries = 256
	// maxTries is how often a node among the closest is asked: with 2 % of the
	// datagrams lost each way, two tries miss one of the eight in every 80 lookups.
	maxTries = 3
	// strainedTries is the same while replies to us are dropped in whole bursts: whatever comes
	// in the milliseconds in which our receive buffer is full.
	strainedTries = 6
	// maxWiden bounds the nodes that are asked once more to get past the dead, and
	// maxShells how often that is done.
	maxWiden  = 3
	maxShells = 8
	// satedWiden and satedShells are the same for a lookup that has what somebody waited for. It
	// does so while it waits for others anyway.
	satedWiden  = 1
	satedShells = 3
)

// lookup is the state of one iterative lookup (Maymounkov and Mazières, 2002,
// section 2.3): which of the nodes heard of to ask next, and when it is over. It
// knows no clock and no socket, and is not safe for concurrent use.
//
// At most alpha queries are under way, counted only among the nodes closest to
// the target, so that a reply with closer nodes is followed up at once. A query
// past its soft timeout frees its slot without blame; if it is among the k
// closest it is sent again, since it may just have been lost. The lookup ends
// when the k closest nodes that did not fail have replied; if some did fail, not
// before it has looked behind them (widen). One that is sated ends sooner: it soon gives
// up those whom others do not name.
type lookup struct {
	target     krpc.ID
	k, alpha   int
	widest     int         // alpha at first, and again at the end
	tokens     bool        // it ends with k tokens, or k nodes that give none
	candidates []candidate // closest first
	digests    []uint32    // of their networks, in the same order: candidates are many cache lines
	queries    int
	shell      int                // the last one that was widened to
	shells     int                // that were widened to
	first      bool               // nobody has answered or stalled yet
	sated      bool               // what somebody waited for is found: it does not insist on who is most likely dead
	settled    bool               // the last reply named none of the k closest
	frugal     bool               // it asks nobody for the case that one of the k closest fails
	fixed      bool               // nobody is added any more
	strained   bool               // our own node loses replies
	strict     bool               // most ids are bound to addresses: it goes on to k/2 of them
	shun       func(krpc.ID) bool // who is not added; nil: nobody
	expecting  int                // queries under way that may name candidates beside theirs
}

func newLookup(target krpc.ID, k, alpha int) *lookup {
	return &lookup{target: target, k: k, alpha: alpha, widest: alpha, shell: 8*krpc.IDLen + 1, first: true}
}

// start takes in our own contacts. Of those as close as the alpha-th, in bits shared with
// the target, the quickest are asked first. It changes the list.
func (l *lookup) start(contacts []contactRTT) {
	l.candidates, l.digests = make([]candidate, 0, 2*MaxK), make([]uint32, 0, 2*MaxK)
	contacts = slices.DeleteFunc(contacts, func(c contactRTT) bool { return !l.add(c.NodeInfo, 1) })
	if len(l.candidates) <= l.alpha {
		return
	}
	shell := l.candidates[l.alpha-1].id.CommonPrefixLen(l.target)
	slices.SortStableFunc(contacts, func(a, b contactRTT) int { return cmp.Compare(a.rtt-1, b.rtt-1) }) // 0, not measured, comes last
	places := l.alpha
	for i := range l.candidates {
		if l.candidates[i].id.CommonPrefixLen(l.target) > shell {
			places--
		}
	}
	for _, c := range contacts {
		if c.ID.CommonPrefixLen(l.target) != shell {
			continue
		}
		if c := l.find(c.NodeInfo); c != nil {
			c.slow = places <= 0
			places--
		}
	}
}

// add takes note of a node, depth hops away. It reports false if the node is
// known, too far, or in the network of another candidate: the first one of a network
// stays, or a liar could push out any other by naming its neighbours.
func (l *lookup) add(n krpc.NodeInfo, depth int) bool {
	at := l.place(&n.ID)
	found := at < len(l.candidates) && l.candidates[at].id == n.ID
	if found || at == maxCandidates || l.fixed || l.shun != nil && l.shun(n.ID) {
		return false
	}
	bound := ValidID(n.ID, n.Addr.Addr())
	c := candidate{compact: compactOf(n), depth: uint16(depth), bound: bound}
	if l.taken(&c.address) || !l.makeRoom(at, bound) {
		return false
	}
	l.candidates = slices.Insert(l.candidates, at, c)
	l.digests = slices.Insert(l.digests, at, digest(networkIn(c.ip)))
	l.settled = l.settled && l.living(at) >= l.k
	return true
}

// place returns how many candidates are closer than id.
func (l *lookup) place(id *krpc.ID) int {
	return sort.Search(len(l.candidates), func(i int) bool {
		return krpc.CompareDistance(l.candidates[i].id, *id, l.target) >= 0
	})
}

// living returns how many of the n closest candidates have not failed.
func (l *lookup) living(n int) int {
	dead := 0
	for i := range l.candidates[:n] {
		if s := l.candidates[i].state; s == failed || s == silent {
			dead++
		}
	}
	return n - dead
}

// taken tells whether a live candidate is at the same address, or in the same
// network where that matters.
func (l *lookup) taken(a *address) bool {
	network, public := networkIn(a.ip), diverse(a.addr())
	own := digest(network)
	for i, d := range l.digests {
		if d != own {
			continue
		}
		c := &l.candidates[i]
		if (c.address == *a || public && networkIn(c.ip) == network) && c.state != failed && c.state != silent {
			return true
		}
	}
	return false
}

// makeRoom has a farther candidate make way for one that is to be inserted at an index, if there
// are too many, or too many whose ids are not bound. It reports false if there is none.
func (l *lookup) makeRoom(at int, bound bool) bool {
	loose := !bound && l.strict && l.loose() >= maxLoose
	if !loose && len(l.candidates) < maxCandidates {
		return true
	}
	i := l.expendable(loose)
	if i < at {
		return false
	}
	l.candidates = slices.Delete(l.candidates, i, i+1)
	l.digests = slices.Delete(l.digests, i, i+1)
	return true
}

// loose returns how many candidates there are whose ids are not bound, and that have not failed.
func (l *lookup) loose() (n int) {
	for i := range l.candidates {
		if c := &l.candidates[i]; !c.bound && c.state != failed && c.state != silent {
			n++
		}
	}
	return n
}

// expendable returns the index of the farthest candidate that nothing is under
// way for, whose id is not bound if that is wanted; -1 if there is none.
func (l *lookup) expendable(loose bool) int {
	for i := len(l.candidates) - 1; i >= 0; i-- {
		c := &l.candidates[i]
		if s := c.state; s != asked && s != stalled && s != resent && !(loose && (c.bound || s == failed || s == silent)) {
			return i
		}
	}
	return -1
}

// move is what a lookup has to do next.
type move uint8

const (
	moveAsk   move = iota // ask a node, which is marked as asked
	moveWiden             // ask the nodes that widen names
	moveWait              // for a reply, a failure or a stall
	moveEnd               // the lookup is over
)

// next returns the next move and, for moveAsk, the node and how many times it was
// asked before.
func (l *lookup) next() (m move, n krpc.NodeInfo, before int) {
	var front, underWay int
	var saw outlook
	var ids tally
walk:
	for i := range l.candidates {
		c := &l.candidates[i]
		if ids.passes(l, c) {
			continue
		}
		switch c.state {
		case failed, silent:
			saw.dead++
			continue
		case replied:
			if ids.enough(l, c) {
				break walk
			}
		case asked:
			saw.waiting = true
			if underWay++; underWay >= l.width() {
				return moveWait, n, 0
			}
		case resent:
			saw.again = true
			if int(c.tries) < l.tries(c) {
				saw.waiting = true
				break
			}
			saw.patient = true
			saw.dead++ // most likely
		case stalled:
			if l.sated && l.doubtful(c) {
				continue
			}
			if front < l.k && l.queries < maxQueries {
				c.state = resent
				return l.ask(c)
			}
		case fresh:
			if l.first && c.slow {
				saw.passedOver = true
				continue
			}
			if l.frugal && saw.waiting && front-ids.unwilling >= l.k && l.suffices(ids.bound) {
				break walk
			}
			if l.queries < maxQueries {
				c.state = asked
				return l.ask(c)
			}
		}
		front++
	}
	if m = l.unasked(&saw); m == moveAsk {
		l.first = false
		return l.next()
	}
	return m, n, 0
}

// outlook is what next sees of the candidates when there is nobody to ask.
type outlook struct {
	dead       int  // or most likely so
	waiting    bool // for a first answer
	patient    bool // for a last one
	again      bool // somebody is asked once more
	passedOver bool // a slow one
}

// unasked returns the move when there is nobody to ask: moveAsk if that is only since the slow
// ones are passed over and there is nobody quicker to wait for.
func (l *lookup) unasked(saw *outlook) move {
	switch {
	case l.sated && saw.again && l.mayWiden():
		return moveWiden
	case saw.waiting || l.expecting > 0 && !l.sated:
		return moveWait
	case saw.passedOver:
		return moveAsk
	case saw.dead > 0 && !l.sated && l.mayWiden():
		return moveWiden
	case saw.patient:
		return moveWait
	default:
		return moveEnd
	}
}

// width returns how many queries are under way at most. One that is sated has only to ask who
// is left of the k closest: once a reply has named no more of them, all at once costs
// nothing but those that turn out not to be needed (section 2.3 of the paper).
func (l *lookup) width() int {
	if l.sated && l.settled {
		return l.widest
	}
	return l.alpha
}

// tries returns how often to ask c, at most. Of those that do not answer at first, most
// are dead.
func (l *lookup) tries(c *candidate) int {
	switch {
	case l.sated && !l.vouched(c):
		return maxTries - 1
	case l.strained && !l.sated:
		return strainedTries
	}
	return maxTries
}

func (l *lookup) ask(c *candidate) (move, krpc.NodeInfo, int) {
	l.queries++
	c.tries++
	return moveAsk, c.info(), int(c.tries) - 1
}

// shellOf returns the number of leading bits that the target shares with the k-th
// closest candidate, or the last one if there are fewer; only those that replied
// count if so wanted.
func (l *lookup) shellOf(onlyReplied bool) int {
	shell, n := 0, 0
	for i := range l.candidates {
		if c := &l.candidates[i]; c.state == replied || !onlyReplied {
			shell = c.id.CommonPrefixLen(l.target)
			if n++; n == l.k {
				break
			}
		}
	}
	return shell
}

// mayWiden tells whether there is a shell to look for nodes in. One that is sated does it once
// nobody closer is named, and if it was to be wide.
func (l *lookup) mayWiden() bool {
	shells := maxShells
	if l.sated {
		shells = satedShells
		if !l.settled || l.widest == l.alpha {
			return false
		}
	}
	return !l.fixed && l.shells < shells && l.queries+maxWiden <= maxQueries && l.nextShell() >= l.shellOf(true)
}

// nextShell returns the shell to widen to next.
func (l *lookup) nextShell() int { return min(l.shell-1, l.shellOf(false)) }

// widen returns a second target and the nodes to ask for the nodes close to it.
//
// Whoever is close to the target names the same k nodes, and the dead among them
// hide the living that come next, in this shell or a farther one: nodes that share
// so many bits with the target and not the next one. With that bit flipped the
// target has the shell for its own neighbourhood, in the same order.
func (l *lookup) widen() (target krpc.ID, ask []krpc.NodeInfo) {
	l.shell = l.nextShell()
	l.shells++
	target = l.target
	if l.shell < 8*krpc.IDLen {
		target[l.shell/8] ^= 0x80 >> (l.shell % 8)
	}
	for i := len(l.candidates) - 1; i >= 0; i-- {
		c := &l.candidates[i]
		if c.state == replied {
			ask = append(ask, c.info())
		}
	}
	slices.SortFunc(ask, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	most := maxWiden
	if l.sated {
		most = satedWiden
	}
	ask = ask[:min(len(ask), most)]
	l.expecting += len(ask)
	l.queries += len(ask)
	return target, ask
}

// find returns the candidate with n's id and address, or nil.
func (l *lookup) find(n krpc.NodeInfo) *candidate {
	if i := l.place(&n.ID); i < len(l.candidates) && l.candidates[i].is(n) {
		return &l.candidates[i]
	}
	return nil
}

// depthOf returns the hops to n, a candidate.
func (l *lookup) depthOf(n krpc.NodeInfo) int {
	if c := l.find(n); c != nil {
		return int(c.depth)
	}
	return 0
}

// replied takes note of n's reply and returns n's depth. A nil token means that n
// stores nothing for us. It reports false if n was not asked, or has replied.
func (l *lookup) replied(n krpc.NodeInfo, token []byte) (depth int, ok bool) {
	c := l.find(n)
	if c == nil || c.state == replied || c.state == fresh {
		return 0, false
	}
	c.state, l.first, l.settled = replied, false, true
	if token != nil {
		c.answer = &answer{token: token}
	}
	return int(c.depth), true
}

// stalled takes note that a query to n has passed its soft timeout.
func (l *lookup) stalled(n krpc.NodeInfo) {
	c := l.find(n)
	if c == nil {
		return
	}
	switch c.state {
	case asked:
		c.state, l.first = stalled, false
	case resent:
		if c.state = stalled; int(c.tries) >= l.tries(c) {
			c.state = silent
		}
	}
}

// failed takes note that n will not reply, or did so with another id.
func (l *lookup) failed(n krpc.NodeInfo) {
	if c := l.find(n); c != nil && c.state != replied {
		c.state, l.first = failed, false
	}
}

// closest returns the up to k closest nodes that have replied, closest first.
func (l *lookup) closest() []Contact { return l.nearest(l.k) }

// nearest returns the up to n closest nodes that have replied, closest first.
func (l *lookup) nearest(n int) []Contact {
	return l.collect(n, func(*candidate) bool { return true })
}

func (l *lookup) collect(n int, wanted func(*candidate) bool) []Contact {
	matching := 0
	for i := range l.candidates {
		if c := &l.candidates[i]; c.state == replied && wanted(c) {
			matching++
		}
	}
	if matching == 0 {
		return nil
	}
	out := make([]Contact, 0, min(n, matching))
	rank := 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state == replied && wanted(c) {
			out = append(out, Contact{NodeInfo: c.info(), Token: c.token(), Hops: int(c.depth), Rank: rank})
			if len(out) == n {
				break
			}
		}
		if c.state != failed && c.state != silent {
			rank++
		}
	}
	return out
}

package kademlia

import (
	"errors"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var (
	errNoID      = errors.New("kademlia: reply without a node id")
	errOtherID   = errors.New("kademlia: reply with another node id")
	errReflected = errors.New("kademlia: reply with our own node id")

	// ErrStopped ends a lookup that its owner stopped.
	ErrStopped = errors.New("kademlia: lookup stopped")
)

// LookupKind tells lookups apart in the statistics.
type LookupKind uint8

// The kinds of lookups.
const (
	LookupUpkeep    LookupKind = iota // joining and bucket refresh
	LookupFindNode                    // for the nodes alone
	LookupGetPeers                    // for peers
	LookupAnnounce                    // for peers, and for where to announce
	LookupScrape                      // for the size of a swarm
	LookupSample                      // for the nodes to begin a survey with
	LookupGet                         // for an item
	LookupPut                         // for an item, and for where to put it
	LookupRepublish                   // the same, for an item of somebody else

	numLookupKinds = iota
)

var lookupKindNames = [numLookupKinds]string{"upkeep", "find_node", "get_peers", "announce", "scrape", "sample", "get", "put", "republish"}

// String returns the kind as a metric label.
func (k LookupKind) String() string { return lookupKindNames[k] }

// Lookup describes an iterative lookup.
type Lookup struct {
	Target krpc.ID
	Kind   LookupKind
	// Method is the query that each node on the way is asked; Fill sets its
	// arguments but for the id and "want". Both zero: find_node for the target.
	Method krpc.Method
	Fill   func(*krpc.Message)
	// Tokens has the lookup go on until k nodes have given a token, or k have given
	// none.
	Tokens bool
	// Later says that nobody waits for the lookup: it takes its time to send fewer queries,
	// and those by krpc.Endpoint.QueryLater.
	Later bool
	// Wide says that somebody waits for a first value, be it peers or an item: until one
	// is found, NodeConfig.AlphaFirst queries are under way. With peers from two nodes it
	// goes on to the k closest, but insists less on those that do not answer.
	Wide bool
	// Reuse says that the end of another lookup will do, of the same target and method
	// within the last four minutes: then nobody is asked, and Visit is not called.
	Reuse bool
	// Visit, if set, is called for every reply, with a copy to keep.
	Visit func(from krpc.NodeInfo, r *krpc.Message)
	// Done is called once, after all calls to Visit. Neither may block.
	Done func(LookupResult)

	expect int                // nodes that will be added to start from, beside the table
	shun   func(krpc.ID) bool // who is left out; nil: nobody
	ended  func(LookupResult) // is called under mu, before Done; may be nil
}

// Contact is a node that replied to a lookup.
type Contact struct {
	krpc.NodeInfo
	Token []byte // to store at the node with; nil if it gave none
	Hops  int    // from us: 1 for a contact of our own
	Rank  int    // nodes heard of that are closer to the target, and not known to be dead
}

// LookupResult is how a lookup ended.
type LookupResult struct {
	// Closest are the up to k nodes closest to the target that replied, closest
	// first.
	Closest []Contact
	// Willing are the up to k closest that gave a token, closest first: where to
	// Store. Without one a node has no room (BEP 33), and the next takes its place.
	// With an Alarm up to 2k others follow, which are beyond the crowd; where it is not sure
	// that there is one, the next closest.
	Willing []Contact
	// Alarm says that more nodes have answered from close to the target than chance
	// explains, in this lookup or another within the hour. Unless the target is our own id,
	// nodes beyond them were asked too.
	Alarm   bool
	Hops    int // to the closest node
	Queries int // sent, repeated ones included
	Replies int
	Took    time.Duration
	// Err is nil for a lookup that ran to its end, whatever it found.
	Err error
}

// traversal runs a lookup on the endpoint. The node's mu guards it.
type traversal struct {
	n       *Node
	cfg     Lookup
	l       *lookup
	started time.Time
	replies int
	values  int // replies with what somebody waits for
	over    bool

	blameless bool // the silence of those asked is no fault of theirs

	alarm bool    // there is a crowd around the target
	past  *bypass // the way past it; nil if there is none
}

// Lookup starts an iterative lookup. stop ends it early, with ErrStopped.
func (n *Node) Lookup(cfg Lookup) (stop func()) {
	n.mu.Lock()
	defer n.unlock()
	t := n.lookup(cfg)
	return func() {
		n.mu.Lock()
		defer n.unlock()
		t.finish(ErrStopped)
	}
}

// lookup starts a lookup under mu.
func (n *Node) lookup(cfg Lookup) *traversal {
	if cfg.Method == krpc.MethodUnknown {
		cfg.Method = krpc.MethodFindNode
		cfg.Fill = func(m *krpc.Message) { m.HasTarget, m.Target = true, cfg.Target }
	}
	alpha := n.cfg.Alpha
	if cfg.Wide {
		alpha = n.cfg.AlphaFirst
	}
	t := &traversal{n: n, cfg: cfg, l: newLookup(cfg.Target, n.cfg.K, alpha), started: n.now()}
	n.lookups = append(n.lookups, t)
	if n.closed {
		t.finish(krpc.ErrClosed)
		return t
	}
	if willing := n.recently(&cfg); cfg.Reuse && willing != nil {
		t.end(LookupResult{Closest: slices.Clone(willing), Willing: willing, Hops: willing[0].Hops})
		return t
	}
	n.table.lookedUp(cfg.Target, t.started, n.rng)
	t.l.expecting, t.l.tokens = cfg.expect, cfg.Tokens
	t.l.frugal, t.l.shun, t.l.strict = cfg.Later, cfg.shun, n.table.strict
	t.begin()
	t.step()
	return t
}

// begin takes in the contacts to start from.
//
// Upkeep starts from the table alone. It is to find out what the contacts in a bucket are
// worth, to stay in theirs, and to meet who is new on the way. A lookup that starts next to
// its target, from contacts that are in no bucket, does nothing of that.
func (t *traversal) begin() {
	n, target := t.n, t.cfg.Target
	if t.cfg.shun != nil {
		t.l.start(n.contactsOutside(target, t.cfg.shun))
		return
	}
	room := MaxK
	if t.cfg.Kind == LookupUpkeep {
		room = 0
	}
	start := n.publish().contacts(target, MaxK, room)
	if len(start) == 0 {
		// All have failed: the network has, more likely. They are asked, and not blamed again.
		start, t.blameless = n.table.closestOfAll(target, MaxK), true
	}
	if t.cfg.Kind != LookupUpkeep {
		for _, r := range n.table.memory.closest(target, MaxK, n.table.at(t.started)) {
			start = append(start, contactRTT{r.info(), r.rtt})
		}
	}
	t.l.start(start)
}

// step makes the moves that are to be made now.
func (t *traversal) step() {
	t.l.strained = t.n.endpoint.Strained(t.n.now())
	for !t.over && !t.elsewhere() {
		switch m, to, before := t.l.next(); m {
		case moveAsk:
			t.ask(to, before)
		case moveWiden:
			t.widen()
		case moveWait:
			return
		case moveEnd:
			t.conclude()
		}
	}
}

func (t *traversal) ask(to krpc.NodeInfo, before int) {
	if t.patience(to, before) < 0 {
		t.n.after(t.n.endpoint.StallTime()/2, func() { t.stalled(to, before) })
	}
	t.n.ask(&query{
		to:     to,
		method: t.cfg.Method,
		again:  before > 0 || t.blameless,
		later:  t.cfg.Later,
		t:      t,
		before: uint8(before),
	})
}

// fill sets the arguments of a query.
func (t *traversal) fill(m *krpc.Message) {
	m.Want = t.n.wanted()
	t.cfg.Fill(m)
}

// waited takes note that q has passed its soft timeout.
func (t *traversal) waited(q *query) {
	to, before := q.to, int(q.before)
	if patience := t.patience(to, before); patience > 0 {
		t.n.after(time.Duration(patience)*t.n.endpoint.StallTime(), func() { t.stalled(to, before) })
		return
	}
	t.stalled(to, before)
}

// heard takes in what has become of a query to a node.
func (t *traversal) heard(to krpc.NodeInfo, r *krpc.Message, err error) {
	if err != nil {
		t.l.failed(to)
	} else {
		t.replied(to, r)
	}
	t.step()
}

// patience returns how many soft timeouts longer than one to wait for a copy of a query, of which
// so many were sent before. The last one is given two in all, and three where the closest nodes are
// what is looked for: of a node slower than nine in ten, and closer than most, only this lookup may
// ever hear. Where nobody waits, all are given two: most of those sent again were not lost.
//
// A lookup that is sated waits for those who are slow, most likely. To those who are dead, most
// likely, it gives half of one for the last copy: -1.
func (t *traversal) patience(to krpc.NodeInfo, before int) int {
	c := t.l.find(to)
	last := c != nil && before == t.l.tries(c)-1
	switch {
	case last && t.l.sated && t.l.vouched(c):
		return 6
	case last && t.l.sated:
		return -1
	case last && t.cfg.Kind == LookupFindNode:
		return 2
	case last || t.cfg.Later:
		return 1
	}
	return 0
}

// widen looks for nodes behind dead ones. They are then asked like others.
func (t *traversal) widen() {
	target, ask := t.l.widen()
	for _, to := range ask {
		settled := false
		settle := func() {
			if !settled {
				settled = true
				t.l.expecting--
				t.step()
			}
		}
		t.n.ask(&query{
			to:      to,
			method:  krpc.MethodFindNode,
			again:   true,
			later:   t.cfg.Later,
			fill:    func(m *krpc.Message) { m.HasTarget, m.Target = true, target },
			onStall: settle,
			onDone: func(r *krpc.Message, _ time.Duration, err error) {
				if err == nil && !t.over {
					t.addNodes(r, t.l.depthOf(to)+1)
				}
				settle()
				t.step() // a late reply may have named somebody
			},
		})
	}
}

// stalled takes note that n does not answer in time the query of which so many copies were sent before.
func (t *traversal) stalled(n krpc.NodeInfo, before int) {
	if c := t.l.find(n); c != nil && int(c.tries) == before+1 {
		t.l.stalled(n)
		t.step()
	}
}

// replied takes in one reply: its token, its nodes, and what Visit wants of it.
func (t *traversal) replied(from krpc.NodeInfo, r *krpc.Message) {
	if t.over {
		return
	}
	depth, ok := t.l.replied(from, slices.Clone(r.Token))
	if !ok {
		return
	}
	t.replies++
	if t.cfg.Wide && t.holdsValue(r) {
		t.foundValue()
	}
	if t.cfg.Visit != nil {
		r := r.Clone()
		t.n.later(func() { t.cfg.Visit(from, r) })
	}
	if named := t.addNodes(r, depth+1); t.cfg.Wide {
		t.l.says(from, named)
	}
}

// foundValue takes note of a reply with what somebody waits for. One such reply may be a
// lie, and of an item another node may have a newer version.
func (t *traversal) foundValue() {
	t.values++
	t.l.alpha = t.n.cfg.Alpha
	t.l.sated = t.values > 1 && t.cfg.Method == krpc.MethodGetPeers && !t.cfg.Tokens
}

// holdsValue tells whether r has an item, or a peer, as was asked for.
func (t *traversal) holdsValue(r *krpc.Message) bool {
	if t.cfg.Method == krpc.MethodGet {
		return r.V != nil
	}
	for peer := range r.EachPeer {
		if t.n.Usable(peer) {
			return true
		}
	}
	return false
}

// addNodes takes in the nodes of a reply, depth hops away, and returns them if the lookup is Wide.
func (t *traversal) addNodes(r *krpc.Message, depth int) (named []krpc.ID) {
	nodes := make([]krpc.NodeInfo, 0, maxFromReply)
	for node := range r.EachNode {
		if node.Addr.Addr().Is6() != t.n.v6 {
			t.n.suggest(node)
			continue
		}
		if node.ID != t.n.table.self && t.n.Usable(node.Addr) {
			nodes = append(nodes, node)
		}
	}
	if len(nodes) > maxFromReply {
		slices.SortFunc(nodes, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, t.cfg.Target) })
	}
	if t.cfg.Wide {
		named = make([]krpc.ID, 0, len(nodes))
	}
	added := 0
	for _, node := range nodes {
		if t.cfg.Wide {
			named = append(named, node.ID)
		}
		if t.l.add(node, depth) {
			added++
		}
		if added == maxFromReply {
			break
		}
	}
	return named
}

// finish ends the lookup; late replies are the table's business alone.
func (t *traversal) finish(err error) {
	if t.over {
		return
	}
	n, res := t.n, t.result(err)
	t.over = true
	if t.past != nil && t.past.sub != nil {
		t.past.sub.finish(ErrStopped)
	}
	if err == nil && t.cfg.shun == nil {
		n.counters.lookup(t.cfg.Kind, res)
		n.gauge(&t.cfg, res.Closest)
		n.remember(&t.cfg, &res)
	}
	t.end(res)
}

// end tells the result.
func (t *traversal) end(res LookupResult) {
	t.over = true
	n := t.n
	n.lookups = slices.DeleteFunc(n.lookups, func(o *traversal) bool { return o == t })
	if t.cfg.ended != nil {
		t.cfg.ended(res)
	}
	if t.cfg.Done != nil {
		n.later(func() { t.cfg.Done(res) })
	}
}

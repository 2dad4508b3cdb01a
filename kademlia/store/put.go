package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

var (
	// ErrNotStored ends a put that no node has accepted.
	ErrNotStored = errors.New("store: put: no node has stored the item")
	// ErrOutdated ends a put of a mutable item of which there is a newer version.
	ErrOutdated = errors.New("store: put: there is a newer version")
	// ErrConflict ends a put of a mutable item whose Seq another value has taken, or
	// that all nodes refuse since they hold another version than PutOptions.Cas.
	ErrConflict = errors.New("store: put: nodes hold another version")
)

// PutOptions says how to put an item. The zero PutOptions is its publisher's.
type PutOptions struct {
	// Cas, if it is set, has the item replace only the version with that Seq, or an older
	// one: compare and swap (BEP 44). Nodes that hold no version store it in any case.
	Cas *int64
	// TTL is for how long from now nodes are to keep the item, in whole seconds, at most
	// Life. It is for who is not its publisher, and our own extension: other
	// implementations keep what they are given for as long as they like. 0: Life.
	TTL time.Duration
	// Kind is that of the lookups. 0: kademlia.LookupPut. With LookupRepublish, who
	// holds the same version is not asked for its value, and a rival goes unnoticed.
	Kind kademlia.LookupKind

	only *kademlia.Node // the one to put from; nil: all
}

// PutResult is how a put ended.
type PutResult struct {
	kademlia.StoreResult                         // of all nodes of the program, which may be among those asked
	Lookups              []kademlia.LookupResult // in the order of the nodes
	// Newer is, with ErrOutdated and ErrConflict, the item that stood in the way; nil if
	// it is not known, but by the nodes' refusals.
	Newer *Item
}

// Contradicted tells whether a node has refused the item since it holds a newer one, or
// another than PutOptions.Cas. It may lie.
func (r *PutResult) Contradicted() bool {
	return slices.ContainsFunc(r.Failures, func(f kademlia.StoreFailure) bool { return contradicts(f.Err) })
}

// contradicts tells whether err is a node's word that it holds another version.
func contradicts(err error) bool {
	var refused *krpc.Error
	return errors.As(err, &refused) && (refused.Code == krpc.CodeCasMismatch || refused.Code == krpc.CodeSeqTooOld)
}

// PutItem puts it (BEP 44): every node looks up the target and asks the k closest that
// gave it a token to store it, unless a lookup finds that it is outdated.
//
// onDone is called once, perhaps before PutItem returns, and may not block. The error is
// nil if at least one node has stored the item, and else what Item.Check returns,
// ErrOutdated, ErrConflict, kademlia's or ErrNotStored, with what a node gave as its
// reason. stop ends the put early; what was sent may be stored all the same.
func (s *Items) PutItem(it Item, o PutOptions, onDone func(PutResult, error)) (stop func()) {
	if err := it.Check(); err != nil {
		onDone(PutResult{}, err)
		return func() {}
	}
	if o.Kind == 0 {
		o.Kind = kademlia.LookupPut
	}
	p := &putting{
		search: search{items: s, target: it.Target(), o: seenBy(&it, o.Kind), kind: o.Kind, only: o.only},
		it:     it, opts: o, onDone: onDone,
	}
	if o.TTL > 0 {
		p.until = s.clock.Now().Add(min(o.TTL, Life))
	}
	p.start(p.lookedUp)
	return p.Stop
}

// seenBy returns what the lookup of a put asks for: the least that shows whether there
// is a newer version. A publisher wants to know of a rival too.
func seenBy(it *Item, kind kademlia.LookupKind) GetOptions {
	o, seen := GetOptions{Salt: it.Salt}, it.Seq
	if kind != kademlia.LookupRepublish {
		seen--
	}
	if it.Mutable() && seen >= 0 {
		o.Seen = &seen
	}
	return o
}

// putting is a put under way: a search, then the stores. Its fields are used by
// its callbacks alone.
type putting struct {
	search
	it     Item
	opts   PutOptions
	until  time.Time // the end of the item's life; zero: its publisher puts it
	onDone func(PutResult, error)

	waiting int // stores under way, of a node each
	res     PutResult
}

// lookedUp goes on with the stores. They wait for the lookups of all nodes: a newer
// version may be in one DHT and not in the other.
func (p *putting) lookedUp() {
	p.res.Lookups = p.Results
	if err := p.overtaken(); err != nil {
		p.onDone(p.res, err)
		return
	}
	p.waiting = 1
	for i := range p.Results {
		if p.Results[i].Err == nil && !p.Stopped {
			p.storeAt(i)
		}
	}
	p.settle()
}

// overtaken returns why the item may not be put, with the item in its way in the result.
func (p *putting) overtaken() error {
	if p.best == nil || !p.it.Mutable() {
		return nil
	}
	if p.best.Seq > p.it.Seq {
		p.res.Newer = p.best
		return ErrOutdated
	}
	for i := range p.holders {
		if other := p.holders[i].item; other != nil && other.rivals(&p.it) {
			p.res.Newer = other
			return ErrConflict
		}
	}
	return nil
}

// storeAt asks the k closest nodes that gave node i a token. If node i is one of them
// itself it takes the place of the farthest, so that all who put the item ask the same
// nodes: what two of them put at different ones is told apart by nobody.
func (p *putting) storeAt(i int) {
	n, at := p.items.nodes[i], p.Results[i].Willing
	ours := !n.ReadOnly() && (len(at) < n.K() || krpc.CompareDistance(n.ID(), at[len(at)-1].ID, p.target) < 0)
	if ours && len(at) == n.K() && len(at) > 1 {
		at = at[:len(at)-1]
	}
	p.waiting++
	p.Store(i, at, kademlia.Store{
		Method: krpc.MethodPut,
		Fill: func(m *krpc.Message, to krpc.NodeInfo) {
			p.it.fillPut(m, p.target, p.ttl())
			m.Cas, m.HasCas = p.cas(i, to)
		},
		Done: func(res kademlia.StoreResult) {
			p.res.Add(res)
			if res.Stored > 0 && p.concerns(i, ours) {
				p.res.Add(p.keepAt(i))
			}
			p.settle()
		},
	})
}

// concerns tells whether node i of ours is to store the item too: as one of the closest,
// or as it holds an older version, or the same one and its publisher puts it again.
func (p *putting) concerns(i int, closest bool) bool {
	if h := p.holder(i, krpc.NodeInfo{}); h != nil {
		return h.seq < p.it.Seq || p.until.IsZero()
	}
	return closest
}

// keepAt has node i of ours store the item like any other node. Without others it would
// be of no use to anybody.
func (p *putting) keepAt(i int) kademlia.StoreResult {
	n, res := p.items.nodes[i], kademlia.StoreResult{Asked: 1}
	o := offer{item: p.it, target: p.target, life: cmp.Or(p.ttl(), Life), self: n.ID(), now: p.items.clock.Now()}
	o.cas, o.hasCas = p.cas(i, krpc.NodeInfo{})
	_, err := p.items.shelves[i].take(o, p.it.clone())
	p.items.journal.Commit()
	if err != nil {
		self := krpc.NodeInfo{ID: o.self, Addr: n.LocalAddr()}
		res.Failures = []kademlia.StoreFailure{{Node: self, Err: err}}
	} else {
		res.Stored = 1
	}
	return res
}

// cas returns the Seq that the node to has to hold for the item to be stored. Who holds
// none is not asked for one (BEP 44), and who is behind only not to have caught up
// meanwhile. It is called outside the callbacks, when the holders do not change any more.
func (p *putting) cas(i int, to krpc.NodeInfo) (cas int64, ok bool) {
	if p.opts.Cas == nil {
		return 0, false
	}
	h := p.holder(i, to)
	if h == nil || h.lied {
		return 0, false
	}
	if h.seq == p.it.Seq { // It is the very item.
		return h.seq, true
	}
	return min(h.seq, *p.opts.Cas), true
}

// settle takes note that the stores of a node have ended.
func (p *putting) settle() {
	if p.waiting--; p.waiting > 0 {
		return
	}
	p.onDone(p.res, p.err())
}

// ttl returns what the item has left to live; 0: its publisher puts it. What has nothing
// left is told apart from that: it is not for good.
func (p *putting) ttl() time.Duration {
	if p.until.IsZero() {
		return 0
	}
	return max(1, p.until.Sub(p.items.clock.Now()))
}

func (p *putting) err() error {
	if p.res.Stored > 0 {
		return nil
	}
	if p.Stopped {
		return kademlia.ErrStopped
	}
	if err := kademlia.LookupsFailed(p.Results); err != nil {
		return err
	}
	if len(p.res.Failures) == 0 {
		return ErrNotStored
	}
	reason := ErrNotStored
	if p.opts.Cas != nil && !slices.ContainsFunc(p.res.Failures, func(f kademlia.StoreFailure) bool { return !contradicts(f.Err) }) {
		reason = ErrConflict
	}
	return fmt.Errorf("%w: %w", reason, p.res.Failures[0].Err)
}

// fillPut sets the arguments of a put for whoever is to keep the item for ttl; 0: for as
// long as what its publisher puts.
func (it *Item) fillPut(m *krpc.Message, target krpc.ID, ttl time.Duration) {
	m.HasTarget, m.Target = true, target // pubky's nodes ask for it; others ignore it
	m.V = it.V
	if it.Mutable() {
		m.K, m.Sig, m.HasSeq, m.Seq = it.K, it.Sig, true, it.Seq
		if len(it.Salt) > 0 {
			m.Salt = it.Salt
		}
	}
	if ttl > 0 {
		m.HasTTL, m.TTL = true, int64(ttl/time.Second)
	}
}

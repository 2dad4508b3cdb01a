package kademlia

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// recentAge is for how long the tokens of a lookup are used again. Nodes take one for
	// five minutes at the least (BEP 5 and what implementations do).
	recentAge = 4 * time.Minute
	// maxRecent bounds the lookups whose ends are remembered; the oldest goes. One with
	// eight tokens takes about a kilobyte.
	maxRecent = 256
)

// recent is where a lookup has ended: who asks for peers often announces himself right
// after that (Lookup.Reuse).
type recent struct {
	method  krpc.Method
	at      time.Time
	willing []Contact
}

// remember takes note of how a lookup has ended that nobody has to repeat soon.
func (n *Node) remember(cfg *Lookup, res *LookupResult) {
	if cfg.Later || len(res.Willing) < n.cfg.K {
		return
	}
	if n.recent == nil {
		n.recent, _ = simplelru.NewLRU[krpc.ID, recent](maxRecent, nil) // fails for no positive size
	}
	n.recent.Add(cfg.Target, recent{cfg.Method, n.now(), copies(res.Willing)})
}

// copies returns the contacts with tokens of their own: those of a result are its owner's.
func copies(contacts []Contact) []Contact {
	contacts = slices.Clone(contacts)
	for i := range contacts {
		contacts[i].Token = slices.Clone(contacts[i].Token)
	}
	return contacts
}

// recently returns where a lookup like cfg has ended a moment ago; nil if none has. It is the
// caller's.
func (n *Node) recently(cfg *Lookup) []Contact {
	if n.recent == nil {
		return nil
	}
	r, ok := n.recent.Peek(cfg.Target)
	if !ok || r.method != cfg.Method || n.now().Sub(r.at) > recentAge {
		return nil
	}
	return copies(r.willing)
}

// forget has the next lookup of target be a real one.
func (n *Node) forget(target krpc.ID) {
	if n.recent != nil {
		n.recent.Remove(target)
	}
}

// forgetRecent has the next lookups be real ones: tokens are good for one address of ours.
func (n *Node) forgetRecent() {
	if n.recent != nil {
		n.recent.Purge()
	}
}

func (n *Node) recentLookups() int {
	if n.recent == nil {
		return 0
	}
	return n.recent.Len()
}

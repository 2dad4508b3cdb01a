package kademlia

// worthAWord is how many attempts of a node to join have to fail, which takes some three
// seconds at least, while other nodes get through: these may help it yet.
const worthAWord = 3

// joinNews is what the outcome of an attempt to join is to whoever reads the log.
type joinNews int

const (
	noNews  joinNews = iota
	allLost          // no node gets through
	oneLost          // this one does not, others do
	joined           // for the first time, or again
)

// outages tells what is news about the nodes of a DHT: each outage once, and its end.
type outages struct {
	nodes map[*Node]*attempts
	told  bool // that no node gets through
}

// attempts is how a node has fared.
type attempts struct {
	failed int  // attempts, since the last one that did not
	found  bool // it has joined before
	told   bool // of the outage that is
}

func newOutages() outages { return outages{nodes: make(map[*Node]*attempts)} }

// note takes note of the outcome of an attempt of n, one of so many nodes.
func (o *outages) note(n *Node, err error, nodes int) joinNews {
	a := o.nodes[n]
	if a == nil {
		a = new(attempts)
		o.nodes[n] = a
	}
	if err == nil {
		news := o.told || a.told || !a.found
		*a, o.told = attempts{found: true}, false
		if news {
			return joined
		}
		return noNews
	}
	a.failed++
	failing, well := o.count()
	switch {
	case failing == nodes && !o.told:
		o.told = true
		return allLost
	case a.failed >= worthAWord && well && !a.told:
		a.told = true
		return oneLost
	}
	return noNews
}

// count returns how many nodes fail, and whether any has joined and does not.
func (o *outages) count() (failing int, well bool) {
	for _, a := range o.nodes {
		if a.failed > 0 {
			failing++
		}
		well = well || a.failed == 0 && a.found
	}
	return failing, well
}

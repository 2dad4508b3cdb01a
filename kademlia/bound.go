package kademlia

// Ids that BEP 42 binds to addresses tell who can have chosen his place. Whoever needs no such
// id is as close to any target as he likes, with a handful of addresses; whoever does needs
// thousands of networks for one place in a large DHT. Many honest nodes have other ids all the
// same, so that these are not refused: a lookup goes on past them to nodes whose ids are bound.

const (
	// maxLoose bounds the candidates of a lookup whose ids are not bound: the rest of the
	// places is for others.
	maxLoose = maxCandidates / 2
	// minBound is how many contacts it takes to tell whether most ids are bound.
	minBound = 16
)

func areMost(bound, all int) bool { return all >= minBound && 2*bound > all }

// tally counts the candidates that a lookup comes by on its way from the closest on.
type tally struct {
	done, unwilling    int // that have replied: as was wanted, and without a token
	loose              int // whose ids are not bound
	bound, boundOfDone int // whose are, and those of them that have replied
}

// passes takes note of c. It reports true if c does not matter: its id is not bound, and there are
// k others before it.
func (y *tally) passes(l *lookup, c *candidate) bool {
	switch {
	case !l.strict || c.state == failed || c.state == silent:
		return false
	case !c.bound:
		y.loose++
		return max(y.loose-1, y.done) >= l.k
	case c.state == replied:
		y.boundOfDone++
	}
	y.bound++
	return false
}

// enough takes note of c, which has replied, and tells whether nobody behind it matters.
func (y *tally) enough(l *lookup, c *candidate) bool {
	if l.tokens && !goodToken(c.token()) {
		y.unwilling++
	} else {
		y.done++
	}
	return max(y.done, y.unwilling) >= l.k && l.suffices(y.boundOfDone)
}

// suffices tells whether so many nodes whose ids are bound are enough.
func (l *lookup) suffices(bound int) bool { return !l.strict || bound >= l.k/2 }

// willing returns the up to k closest nodes that have given a token, closest first. If it is
// strict and ids of these are not bound, as many behind them follow as it takes.
func (l *lookup) willing() []Contact {
	all := l.collect(maxCandidates, func(c *candidate) bool { return goodToken(c.token()) })
	bound, out := 0, all[:0]
	for i, c := range all {
		valid := ValidID(c.ID, c.Addr.Addr())
		if i >= l.k && (l.suffices(bound) || !valid) {
			continue
		}
		if out = append(out, c); valid {
			bound++
		}
	}
	return out
}

package kademlia

// candidateState is how far a lookup has come with a candidate.
type candidateState uint8

const (
	fresh   candidateState = iota // not asked yet
	asked                         // within its soft timeout
	stalled                       // past it
	resent                        // asked once more, within the soft timeout again
	silent                        // past all of them: a late reply still counts
	replied
	failed
)

// candidate is a node that a lookup has heard of. In a world that forms every node has some
// dozens, so it is laid out to be small.
type candidate struct {
	compact
	depth  uint16 // hops from us: 1 for a contact of ours
	tries  uint8
	state  candidateState
	slow   bool    // others as close are quicker
	bound  bool    // BEP 42 allows its id at its address
	answer *answer // nil if it had nothing that is kept
}

// answer is what is kept of a candidate's reply.
type answer struct {
	token []byte
	hearsay
}

// token returns what the candidate gave to store with; nil if it gave nothing.
func (c *candidate) token() []byte {
	if c.answer == nil {
		return nil
	}
	return c.answer.token
}

package kademlia

import (
	"math"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Who wants to hide the peers or the item of a key has many nodes join with ids that are closer
// to it than those of all others. That gives them away: ids are as good as random, so that how
// close the closest ones are follows from the size of the network.
const (
	// crowdReach is how many nodes, in multiples of k, are looked at in a doubtful case, and farReach
	// is how many where there may be a crowd a few times as many as the honest.
	crowdReach = 3
	farReach   = 6
	// doubtfulChance is the chance of an honest network to look as the one that a lookup
	// ended in does, below which it looks at more nodes: one lookup in a hundred or two does.
	doubtfulChance = 1e-2
	// suspectChance is the same for what may be such a crowd. If that is not sure after the farthest
	// look, what is stored goes to the crowdReach·k closest.
	suspectChance = 1e-4
	// crowdChance is the same for what is taken for a crowd. It is tested for each of the
	// nodes that are looked at but the first k-1: of a million honest lookups two or three fail one of
	// these tests.
	crowdChance = 1e-7
	// minSample is how many lookups the size of the network has to rest on.
	minSample = 8
	// confirmations is how many lookups of random targets, not older than confirmAge, have to say
	// the same before it is an alarm: in a network that has grown since, there are crowds
	// everywhere. They have to find less than confirmChance.
	confirmations = 3
	confirmAge    = time.Minute
	confirmChance = 1e-3
)

// closerLook returns how many nodes, in multiples of k, to look at where with so many the chance
// of an honest network is this.
func closerLook(reach int, chance float64) int {
	switch {
	case reach < crowdReach && chance < doubtfulChance:
		return crowdReach
	case reach < farReach && chance < suspectChance:
		return farReach
	}
	return reach
}

// sizeSample is what the last lookups of random targets have found. Unlike netSize it forgets at
// once, for the sake of its exact distribution, and since a network that has grown looks like a
// crowd from before.
type sizeSample struct {
	last [16]sampled
	n    int // of all lookups
}

// sampled is the distance of the k-th closest node, how many of the k have ids that BEP 42 allows,
// and when that was.
type sampled struct {
	x     float32
	bound uint16
	at    second
}

func (s *sizeSample) add(x float64, bound int, at second) {
	s.last[s.n%len(s.last)] = sampled{float32(x), uint16(bound), at}
	s.n++
}

// lookups returns how many lookups it has.
func (s *sizeSample) lookups() int { return min(s.n, len(s.last)) }

// mostBound tells whether most nodes have ids that BEP 42 allows, by lookups that ended at k.
// Tables do not tell: they prefer such ids, and whoever comes first has most of the places.
func (s *sizeSample) mostBound(k int) bool {
	bound := 0
	for _, l := range s.last[:s.lookups()] {
		bound += int(l.bound)
	}
	return areMost(bound, s.lookups()*k)
}

// latest returns the sample of the last confirmations alone, and whether they are recent.
func (s *sizeSample) latest(now second) (l sizeSample, recent bool) {
	if s.n < confirmations {
		return l, false
	}
	for i := s.n - confirmations; i < s.n; i++ {
		l.last[l.n] = s.last[i%len(s.last)]
		l.n++
	}
	return l, now-l.last[0].at <= second(confirmAge/time.Second)
}

// chance returns the chance that the m-th closest of an honest network's nodes to a target is
// within x, a share of the keyspace, where the lookups ended at k nodes each. 1: more likely
// than not, or not known.
//
// In a network of N nodes N·x has the gamma distribution of shape m, and so has N times the
// sum S of L distances, with shape L·k. What does not depend on N is x/(x+S): it has the beta
// distribution of m and L·k, so that whatever luck there is in S is accounted for.
func (s *sizeSample) chance(m int, x float64, k int) float64 {
	sum := 0.
	for _, l := range s.last[:s.lookups()] {
		sum += float64(l.x)
	}
	return betaTail(m, s.lookups()*k, x/(x+sum))
}

// betaTail returns the probability of a value of at most x by the beta distribution of whole a
// and b, where that is small: 1 stands for values that are not below the mean.
//
// It is the one of a or more successes in a+b-1 trials, each with probability x. From the a-th
// on, the terms of that sum decrease.
func betaTail(a, b int, x float64) float64 {
	if !(x*float64(a+b) < float64(a)) {
		return 1
	}
	if x <= 0 {
		return 0
	}
	trials := a + b - 1
	gamma := func(n int) float64 { v, _ := math.Lgamma(float64(n)); return v }
	term := math.Exp(gamma(a+b) - gamma(a+1) - gamma(b) + float64(a)*math.Log(x) + float64(b-1)*math.Log1p(-x))
	sum := 0.
	for j := a; j <= trials && term > sum*1e-6; j++ {
		sum += term
		term *= float64(trials-j) / float64(j+1) * x / (1 - x)
	}
	return min(sum, 1)
}

// crowd is how many nodes are how close to a target.
type crowd struct {
	nodes  int     // within the distance of the last of them
	share  float64 // of the keyspace, that is
	chance float64 // that an honest network has them there
}

// crowding returns what is the least likely of the distances, shares of the keyspace in their
// order, of nodes that have answered. Fewer than k of them say nothing, nor do fewer than least
// lookups.
func (s *sizeSample) crowding(shares []float64, k, least int) crowd {
	worst := crowd{chance: 1}
	if s.lookups() < least {
		return worst
	}
	for m := k; m <= len(shares); m++ {
		if c := s.chance(m, shares[m-1], k); c < worst.chance {
			worst = crowd{m, shares[m-1], c}
		}
	}
	return worst
}

// sharesTo returns the distances of nodes to target.
func sharesTo(target krpc.ID, nodes []Contact) []float64 {
	shares := make([]float64, len(nodes))
	for i := range nodes {
		shares[i] = keyspaceShare(nodes[i].ID.Distance(target))
	}
	return shares
}

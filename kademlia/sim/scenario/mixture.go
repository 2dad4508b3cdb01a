package scenario

import (
	"math/rand/v2"
	"time"
)

// mixable are the faults of which the seed draws some, at their worst.
var mixable = []Fault{
	{Kind: Churn, Time: 15 * time.Minute},
	{Kind: Loss, Share: .25},
	{Kind: Duplicate, Share: .2},
	{Kind: Reorder, Share: .5},
	{Kind: Corrupt, Share: .1},
	{Kind: Partition, Share: .5},
	{Kind: OneWay, Share: .3},
	{Kind: NAT, Share: .6},
	{Kind: Unplug, Share: .5},
	{Kind: Move, Time: 20 * time.Minute},
	{Kind: Slow, Share: .3, Time: 300 * time.Millisecond},
	{Kind: Skew, Share: .5, Time: 2 * time.Hour},
	{Kind: DNS},
	{Kind: Kill, Time: 10 * time.Minute},
	{Kind: PowerCut, Time: 15 * time.Minute},
	{Kind: DiskFault, Share: .5},
}

// draw makes c a random world with a random mixture of faults, but for what is set.
func (c *Config) draw(rng *rand.Rand) {
	nodes := 3 + rng.IntN(18)
	if rng.IntN(50) == 0 { // most of what goes wrong does in small worlds, which take less time
		nodes = 20 + rng.IntN(80)
	}
	setDefault(&c.Nodes, nodes)
	length := time.Duration(20+rng.IntN(40)) * time.Minute
	if rng.IntN(20) == 0 { // longer than items live
		length *= 4
	}
	setDefault(&c.Length, length)
	if c.Family == V4 && rng.IntN(3) == 0 {
		c.Family = 1 + Family(rng.IntN(2))
	}
	order := rng.Perm(len(mixable))
	for _, i := range order[:1+rng.IntN(6)] {
		c.Scenario.Faults = append(c.Scenario.Faults, mixable[i].milder(rng))
	}
}

// milder returns f at a random time, and as bad or less.
func (f Fault) milder(rng *rand.Rand) Fault {
	f.From, f.To = rng.Float64(), rng.Float64()
	f.From, f.To = min(f.From, f.To), max(f.From, f.To)
	f.Share *= rng.Float64()
	switch f.Kind {
	case Slow, Skew:
		f.Time = 1 + time.Duration(rng.Float64()*float64(f.Time))
	default: // a mean: the longer the milder
		f.Time = time.Duration(float64(f.Time) * (1 + 3*rng.Float64()))
	}
	if f.Kind == Churn && rng.IntN(2) == 0 {
		f.Shape = .4 + .6*rng.Float64()
	}
	return f
}

package scenario

import (
	"slices"
	"time"
)

// Kind is what goes wrong.
type Kind string

// The kinds of faults. Share and Time are those of Fault.
const (
	// Churn ends programs for good, without a word: each lives for a random time with the mean
	// Time, exponentially distributed or, with a Shape, by Weibull. Two of three are replaced by
	// a new one at another address, the third comes back after a while with what it saved.
	Churn Kind = "churn"
	// Loss, Duplicate, Reorder and Corrupt befall a Share of all datagrams.
	Loss      Kind = "loss"
	Duplicate Kind = "duplicate"
	Reorder   Kind = "reorder"
	Corrupt   Kind = "corrupt"
	// Partition cuts off a Share of the hosts from the others.
	Partition Kind = "partition"
	// OneWay closes a Share of the ways between two hosts, each direction on its own.
	OneWay Kind = "one-way"
	// NAT puts a Share of the hosts behind NATs of all kinds, for as long as they live.
	NAT Kind = "nat"
	// Unplug takes a Share of the hosts off the network; their programs go on.
	Unplug Kind = "unplug"
	// Move gives each host another address now and then, after Time on average.
	Move Kind = "move"
	// Slow has a Share of the hosts take Time for each datagram; 32 more may wait.
	Slow Kind = "slow"
	// Skew has the clocks of a Share of the hosts run up to 5 % fast or slow, and jump ahead by
	// up to Time every half an hour or so, as if the machine had been suspended.
	Skew Kind = "skew"
	// DNS has the names of the bootstrap nodes resolve to nothing.
	DNS Kind = "dns"
	// Kill ends programs, each after Time on average, and starts them again on their disks,
	// mostly within two minutes. Half of those that are killed are in the middle of writing.
	Kill Kind = "kill"
	// PowerCut is Kill, but machines lose power: what was not synced is lost or torn.
	PowerCut Kind = "power cut"
	// DiskFault has the disks of a Share of the hosts fail at random, and fill up.
	DiskFault Kind = "disk fault"
)

// Fault is something that goes wrong for a while.
type Fault struct {
	Kind Kind
	// From and To are when, as shares of the length of the run: 0 to 1.
	From, To float64
	// Share is how much, 0 to 1; Time is how long or how often. Kind says of what.
	Share float64
	Time  time.Duration
	Shape float64 // of Churn by Weibull; 0: 1, which is exponential
}

// Scenario is what goes wrong in a world.
type Scenario struct {
	Name, About string
	Faults      []Fault
}

// everything is the name of the scenario that the seed draws.
const everything = "everything"

var named = []Scenario{
	{"calm", "nothing goes wrong", nil},
	{"churn", "nodes come and go: sessions of half an hour, many of them short (Weibull, shape 0.6)", []Fault{
		{Kind: Churn, To: 1, Time: 30 * time.Minute, Shape: .6},
	}},
	{"loss", "the network loses 10 % of all datagrams, and repeats and reorders others", []Fault{
		{Kind: Loss, To: 1, Share: .1},
		{Kind: Duplicate, To: 1, Share: .05},
		{Kind: Reorder, To: 1, Share: .2},
	}},
	{"partition", "a third of the hosts is cut off for a fifth of the time", []Fault{
		{Kind: Partition, From: .2, To: .4, Share: .33},
	}},
	{"nat", "half of the hosts are behind NATs", []Fault{
		{Kind: NAT, To: 1, Share: .5},
	}},
	{"asymmetric", "of the ways between two hosts one in ten is closed, in one direction", []Fault{
		{Kind: OneWay, From: .2, To: .8, Share: .1},
	}},
	{"skew", "clocks run 5 % fast or slow, and jump by up to an hour", []Fault{
		{Kind: Skew, To: 1, Share: .5, Time: time.Hour},
	}},
	{"crash", "programs are killed, machines lose power, disks fail and fill up", []Fault{
		{Kind: Kill, To: 1, Time: 30 * time.Minute},
		{Kind: PowerCut, From: .3, To: .9, Time: time.Hour},
		{Kind: DiskFault, From: .4, To: .7, Share: .3},
	}},
	{"slow", "a fifth of the hosts takes 0.1 s for each datagram", []Fault{
		{Kind: Slow, From: .1, To: .9, Share: .2, Time: 100 * time.Millisecond},
	}},
	{"dns", "no bootstrap node is found for two thirds of the time, while programs are killed", []Fault{
		{Kind: DNS, To: .67},
		{Kind: Kill, To: 1, Time: 30 * time.Minute},
	}},
	{"corrupt", "one datagram in twenty arrives damaged", []Fault{
		{Kind: Corrupt, To: 1, Share: .05},
	}},
	{everything, "a mixture that the seed draws", nil},
}

// Names returns the names of the scenarios.
func Names() (names []string) {
	for _, s := range named {
		names = append(names, s.Name)
	}
	return names
}

// Named returns the scenario with a name, and whether there is one.
func Named(name string) (Scenario, bool) {
	i := slices.IndexFunc(named, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return named[i], true
}

// has tells whether there is a fault of one of the kinds.
func (s *Scenario) has(kinds ...Kind) bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool { return slices.Contains(kinds, f.Kind) })
}

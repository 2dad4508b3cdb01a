package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Family says of which address families the hosts of a world are.
type Family uint8

// The families. In a Mixed world half of the hosts have addresses of both, and a quarter of each.
const (
	V4 Family = iota
	V6
	Mixed
)

// Config describes a run. All but Scenario and Seed have defaults; those of the scenario
// "everything" are drawn from the seed.
type Config struct {
	Scenario Scenario
	Seed     uint64
	Nodes    int           // programs that are up at a time; 0: 100
	Length   time.Duration // of the part in which things go wrong, in virtual time; 0: an hour, or less of a large world
	Family   Family

	Loss    float64       // of all datagrams while things go wrong, 0 to 1, beside the scenario's
	Session time.Duration // mean of the scenario's churn, or of churn beside it; 0: as it says
	Shape   float64       // of that churn: Fault.Shape; 0: as it says

	// Lookups is how many get_peers an hour are begun, by all programs together, and as many gets
	// and plain lookups together. 0: 6 a program, at most 10 000 in all.
	Lookups int
	// Watch is the number of hosts that are held to the invariants; 0: all, up to 2 000.
	Watch int

	// SkipFinal ends the run with the last fault: the world is not given the time to settle, and
	// what has to be found in a settled one is not looked for.
	SkipFinal bool

	// Progress is called each virtual second; false ends the run. nil: nobody asks.
	Progress func(Progress) bool
}

// Progress is how far a run has come.
type Progress struct {
	Time   time.Duration // virtual, since the start
	Of     time.Duration
	Nodes  int // programs that are up
	Events uint64
}

// LargeWorld is the number of nodes above which a world is a large one: it has less time to form,
// and is not given the time to settle unless that is asked for.
const LargeWorld = 10_000

const (
	// watched is how many hosts are held to the invariants unless Config says otherwise.
	watched = 2000
	// fullHour is how many nodes have an hour unless Config says otherwise. More have less, since
	// each minute of a hundred thousand is one of real time, but leastLength in any case.
	fullHour    = 2000
	leastLength = 5 * time.Minute
	// mostLookups is how many get_peers there are unless Config says otherwise.
	mostLookups = 10_000
)

func (c Config) withDefaults() Config {
	c.Scenario.Faults = append([]Fault(nil), c.Scenario.Faults...)
	if c.Scenario.Name == everything && len(c.Scenario.Faults) == 0 {
		c.draw(rand.New(rand.NewPCG(c.Seed, seedOfMixture)))
	}
	setDefault(&c.Nodes, 100)
	setDefault(&c.Length, min(time.Hour, max(time.Hour*fullHour/time.Duration(c.Nodes), leastLength)).Round(time.Minute))
	setDefault(&c.Lookups, min(6*c.Nodes, int(mostLookups/c.Length.Hours())))
	setDefault(&c.Watch, watched)
	if c.Loss > 0 {
		c.Scenario.Faults = append(c.Scenario.Faults, Fault{Kind: Loss, To: 1, Share: c.Loss})
	}
	c.setChurn()
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// formTime returns what the world has to find together after the last one has joined.
func (c *Config) formTime() time.Duration {
	if c.Nodes > LargeWorld {
		return largeFormTime
	}
	return formTime
}

// joining returns how many programs join at a time when so many are there.
func (c *Config) joining(up int) int {
	if c.Nodes > LargeWorld {
		return 1 + up/largeGrowth
	}
	return 1 + up/growth
}

// setChurn applies Session and Shape.
func (c *Config) setChurn() {
	if c.Session <= 0 && c.Shape <= 0 {
		return
	}
	if c.Session > 0 && !c.Scenario.has(Churn) {
		c.Scenario.Faults = append(c.Scenario.Faults, Fault{Kind: Churn, To: 1})
	}
	for i := range c.Scenario.Faults {
		f := &c.Scenario.Faults[i]
		if f.Kind != Churn {
			continue
		}
		if c.Session > 0 {
			f.Time = c.Session
		}
		if c.Shape > 0 {
			f.Shape = c.Shape
		}
	}
}

// Replay returns the command that runs the same again.
func (c *Config) Replay() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kadnode sim --scenario %s --seed %d", c.Scenario.Name, c.Seed)
	if c.Nodes > 0 {
		fmt.Fprintf(&b, " --nodes %d", c.Nodes)
	}
	if c.Length > 0 {
		fmt.Fprintf(&b, " --minutes %g", c.Length.Minutes())
	}
	if c.Loss > 0 {
		fmt.Fprintf(&b, " --loss %g", c.Loss)
	}
	if c.Session > 0 {
		fmt.Fprintf(&b, " --session %v", c.Session)
	}
	if c.Shape > 0 {
		fmt.Fprintf(&b, " --shape %g", c.Shape)
	}
	if c.Lookups > 0 {
		fmt.Fprintf(&b, " --lookups %d", c.Lookups)
	}
	switch {
	case c.SkipFinal:
		b.WriteString(" --skip-final")
	case c.Nodes > LargeWorld:
		b.WriteString(" --skip-final=false")
	}
	if c.Family != V4 && c.Scenario.Name != everything {
		fmt.Fprintf(&b, " --family %v", c.Family)
	}
	return b.String()
}

var familyNames = [...]string{V4: "ipv4", V6: "ipv6", Mixed: "mixed"}

// String returns the name of a family.
func (f Family) String() string { return familyNames[f] }

// of tells for each address of host i whether it is one of IPv6.
func (f Family) of(i int) []bool {
	switch {
	case f != Mixed:
		return []bool{f == V6}
	case i%4 == 1:
		return []bool{false}
	case i%4 == 3:
		return []bool{true}
	}
	return []bool{false, true}
}

// FamilyNames returns the names of the families, in the order of their constants.
func FamilyNames() []string { return familyNames[:] }

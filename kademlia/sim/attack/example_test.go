package attack_test

import (
	"fmt"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/kademlia/sim/attack"
	"github.com/kadnode/kadnode/tracker"
)

// One node in eleven is close to whatever anybody looks for.
func Example() {
	f := attack.NewField(sim.Config{Nodes: 400, Seed: 1}, tracker.SwarmsConfig{})
	p := f.NewParty(attack.Shift).Spread(40, attack.Networks)
	p.Court(16, 50, time.Minute)
	fmt.Println(f.MeasureNaive(f.Targets(50), 2))
	fmt.Println(f.Measure(f.Targets(50), 2))
}

package sim

import (
	"flag"
	"github.com/kadnode/kadnode/krpc/simnet"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 1, "seed of the simulated worlds")

func TestTmp(t *testing.T) {
	for _, l := range []simnet.Link{{}, {Latency: simnet.ConstantLatency(50 * time.Millisecond)}} {
		for _, n := range []int{100, 1000, 2000} {
			t0 := time.Now()
			w := Build(Config{Nodes: n, Seed: *seed, Link: l}, 200*time.Millisecond, 10*time.Minute)
			t.Log("built", time.Since(t0), w.Net.Stats())
			t.Log(w.MeasureLookups(1000))
		}
	}
}

package sim

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// In an honest world nobody is alarmed, neither of keys nor of its own place, while nodes come and
// go: each lives for an hour on average.
func TestHonestWorldsRaiseNoAlarm(t *testing.T) {
	sizes := []int{500, 5000}
	if testing.Short() || raceEnabled {
		sizes = sizes[:1]
	}
	for _, nodes := range sizes {
		lookups, hours := 20_000, 2
		if nodes > 1000 {
			hours = 1
		}
		w := build(t, Config{Nodes: nodes})
		w.Clock.Run(time.Hour)
		stop := w.Churn(time.Hour, nil)
		ended, alarmed, keys := 0, 0, make([]krpc.ID, 1000)
		for i := range keys {
			keys[i] = krpc.RandomID(w.Rand)
		}
		lookups = scaled(lookups)
		pause := time.Duration(hours) * time.Hour / time.Duration(lookups)
		for i := range lookups {
			w.Clock.AfterFunc(time.Duration(i)*pause, func() {
				w.RandomHost().Lookup(kademlia.Lookup{Target: keys[i%len(keys)], Kind: kademlia.LookupAnnounce, Done: func(r kademlia.LookupResult) {
					ended++
					if r.Alarm {
						alarmed++
					}
				}})
			})
		}
		w.Clock.Run(time.Duration(hours)*time.Hour + time.Minute)
		stop()
		var alarms uint64
		for _, h := range w.Hosts {
			alarms += h.Stats().Alarms
		}
		t.Logf("%d of %d lookups for keys were alarmed; %d alarms in all", alarmed, ended, alarms)
		if alarms > 0 || ended < lookups*9/10 {
			t.Errorf("%d nodes: %d alarms, %d of %d lookups ended", nodes, alarms, ended, lookups)
		}
	}
}

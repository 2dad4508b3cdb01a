package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

var honest = flag.Int("honest", 500, "nodes of an honest world that is to raise no alarm")

// In an honest world nobody is alarmed, neither of keys nor of its own place, while nodes come and
// go: each lives for an hour on average. 5000 nodes take some minutes:
//
//	go test ./kademlia/sim -run RaiseNoAlarm -v -args -honest 5000
func TestHonestWorldsRaiseNoAlarm(t *testing.T) {
	w := build(t, Config{Nodes: *honest})
	w.Clock.Run(30 * time.Minute)
	stop := w.Churn(time.Hour, nil)
	ended, alarmed, keys := 0, 0, make([]krpc.ID, 1000)
	for i := range keys {
		keys[i] = krpc.RandomID(w.Rand)
	}
	const lookups = 5000
	for i := range lookups {
		w.Clock.AfterFunc(time.Duration(i)*time.Hour/time.Duration(lookups), func() {
			w.RandomHost().Lookup(kademlia.Lookup{Target: keys[i%len(keys)], Kind: kademlia.LookupAnnounce, Done: func(r kademlia.LookupResult) {
				ended++
				if r.Alarm {
					alarmed++
				}
			}})
		})
	}
	w.Clock.Run(time.Hour + time.Minute)
	stop()
	var alarms uint64
	for _, h := range w.Hosts {
		alarms += h.Stats().Alarms
	}
	t.Logf("%d of %d lookups for keys went past a crowd; %d alarms in all", alarmed, ended, alarms)
	if alarms > 0 || alarmed > lookups/200 || ended < lookups*9/10 {
		t.Errorf("%d alarms, %d of %d lookups ended, %d past a crowd", alarms, ended, lookups, alarmed)
	}
}

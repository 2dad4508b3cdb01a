package metrics

import (
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

// total is the sum of the statistics of all nodes at the time of a scrape.
type total struct {
	families   [2]familyTotal // IPv4, IPv6
	lookups    []kademlia.LookupStats
	active     int // lookups under way
	endpoint   krpc.Stats
	refused    uint64 // tokens
	idChanges  uint64
	alarms     uint64 // lookups that found crowds
	alarmed    int    // keys with crowds around them
	maxAlarmed int
}

// familyTotal is the sum over the nodes of one address family.
type familyTotal struct {
	nodes, joined           int
	networkSizes            float64 // estimates, each times its lookups
	sizeLookups             int
	buckets                 []kademlia.BucketStats // by index
	verifying, maxVerifying int
	remembered              int // contacts beside those in the buckets
	maxRemembered           int
	recent, maxRecent       int
	stall                   time.Duration // the longest of all
	socket                  udp.Stats
}

var familyNames = [2]string{"ipv4", "ipv6"}

func totalOf(dhts []DHT) *total {
	t := new(total)
	for _, d := range dhts {
		sockets := d.SocketStats()
		for i, n := range d.Nodes() {
			s := n.Stats()
			t.add(&s)
			f := t.family(s.Is6)
			f.add(&s)
			if i < len(sockets) {
				addSocket(&f.socket, &sockets[i])
			}
		}
	}
	return t
}

func (t *total) family(v6 bool) *familyTotal {
	if v6 {
		return &t.families[1]
	}
	return &t.families[0]
}

// eachFamily calls f for the families that have a node.
func (t *total) eachFamily(f func(name string, ft *familyTotal)) {
	for i := range t.families {
		if t.families[i].nodes > 0 {
			f(familyNames[i], &t.families[i])
		}
	}
}

func (t *total) add(s *kademlia.Stats) {
	t.active += s.ActiveLookups
	t.refused += s.TokensRefused
	t.idChanges += s.IDChanges
	t.alarms += s.Alarms
	t.alarmed += s.AlarmedKeys
	t.maxAlarmed += s.MaxAlarmed
	for i := range s.Lookups {
		t.addLookups(&s.Lookups[i])
	}
	addEndpoint(&t.endpoint, &s.Endpoint)
}

func (t *total) addLookups(s *kademlia.LookupStats) {
	for i := range t.lookups {
		if l := &t.lookups[i]; l.Kind == s.Kind {
			addHistogram(&l.Hops, s.Hops)
			addHistogram(&l.Seconds, s.Seconds)
			addHistogram(&l.Messages, s.Messages)
			return
		}
	}
	t.lookups = append(t.lookups, *s)
}

func (f *familyTotal) add(s *kademlia.Stats) {
	f.nodes++
	if s.Joined {
		f.joined++
	}
	f.networkSizes += s.NetworkSize * float64(s.SizeLookups)
	f.sizeLookups += s.SizeLookups
	f.verifying += s.Verifying
	f.maxVerifying += s.MaxVerifying
	f.remembered += s.Remembered
	f.maxRemembered += s.MaxRemembered
	f.recent += s.RecentLookups
	f.maxRecent += s.MaxRecent
	f.stall = max(f.stall, s.Endpoint.StallTime)
	for i, b := range s.Buckets {
		if i == len(f.buckets) {
			f.buckets = append(f.buckets, kademlia.BucketStats{})
		}
		sum := &f.buckets[i]
		sum.Good += b.Good
		sum.Questionable += b.Questionable
		sum.Bad += b.Bad
		sum.Spares += b.Spares
		sum.Capacity += b.Capacity
	}
}

// networkNodes returns the mean of the estimated sizes of the network, each with the
// weight of its lookups.
func (f *familyTotal) networkNodes() float64 {
	if f.sizeLookups == 0 {
		return 0
	}
	return f.networkSizes / float64(f.sizeLookups)
}

func addEndpoint(t, s *krpc.Stats) {
	for i := range s.Methods {
		m, o := &t.Methods[i], &s.Methods[i]
		m.QueriesIn += o.QueriesIn
		m.RepliesOut += o.RepliesOut
		m.ErrorsOut += o.ErrorsOut
		m.QueriesOut += o.QueriesOut
		m.RepliesIn += o.RepliesIn
		m.ErrorsIn += o.ErrorsIn
		m.Timeouts += o.Timeouts
	}
	for i := range s.Drops {
		t.Drops[i] += s.Drops[i]
	}
	t.Stalls += s.Stalls
	t.Refused += s.Refused
	t.SendErrors += s.SendErrors
	t.Pending += s.Pending
	t.MaxPending += s.MaxPending
	t.Remotes.Known += s.Remotes.Known
	t.Remotes.MaxKnown += s.Remotes.MaxKnown
	t.Remotes.New += s.Remotes.New
	t.Remotes.Delayed += s.Remotes.Delayed
	t.LimiterBusy += s.LimiterBusy
	t.LimiterCells += s.LimiterCells
	t.Brief += s.Brief
	t.Held += s.Held
	t.Holding += s.Holding
	t.MaxHolding += s.MaxHolding
	t.Proven += s.Proven
	t.ProvenCells += s.ProvenCells
	t.Asked += s.Asked
	t.AskedCells += s.AskedCells
	addHistogram(&t.RTT, s.RTT)
}

func addSocket(t, s *udp.Stats) {
	t.PacketsIn += s.PacketsIn
	t.BytesIn += s.BytesIn
	t.PacketsOut += s.PacketsOut
	t.BytesOut += s.BytesOut
	t.Truncated += s.Truncated
	t.Martians += s.Martians
	t.Unreachable += s.Unreachable
	t.Overflows += s.Overflows
	t.ReceiveErrors += s.ReceiveErrors
	t.SendDrops += s.SendDrops
	t.SendErrors += s.SendErrors
	t.ReceiveRoom += s.ReceiveRoom
	t.Refusing = max(t.Refusing, s.Refusing)
}

// addHistogram adds s to t, which has the same bounds or is zero.
func addHistogram(t *krpc.HistogramSnapshot, s krpc.HistogramSnapshot) {
	if t.Counts == nil {
		*t = s
		return
	}
	for i, c := range s.Counts {
		t.Counts[i] += c
	}
	t.Sum += s.Sum
}

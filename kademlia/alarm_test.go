package kademlia

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// crowdLab is a network of honest nodes with a crowd around a key, and a node that knows how
// large it is.
type crowdLab struct {
	*lab
	n    *Node
	key  krpc.ID
	told []Alarm
}

const crowdLabHonest, crowdLabSybils = 150, 30

func newCrowdLab(t *testing.T) *crowdLab {
	t.Helper()
	l := &crowdLab{lab: newLab(t), key: krpc.ID{0x5a, 0xa5}}
	l.network(crowdLabHonest)
	l.n = l.node(simnet.Addr(crowdLabHonest), func(c *NodeConfig) {
		l.via(simnet.Addr(0))(c)
		c.Alarmed = func(a Alarm) { l.told = append(l.told, a) }
	})
	l.n.Start()
	l.clock.Run(time.Minute)
	l.surround(l.key, crowdLabHonest+1)
	l.lookAround()
	return l
}

// lookAround has the node see the size of the network.
func (l *crowdLab) lookAround() {
	for i := range 32 {
		l.look(Lookup{Kind: LookupFindNode, Target: krpc.ID{byte(i * 8), byte(i)}})
	}
}

// surround places attackers around key, who name each other, and have everybody know them.
func (l *crowdLab) surround(key krpc.ID, first int) {
	var sybils []*stranger
	var names []byte
	for i := range crowdLabSybils {
		s := l.stranger(simnet.Addr(first + i))
		s.id = key
		binary.BigEndian.PutUint32(s.id[3:], uint32(i+1)*0x01234567)
		sybils = append(sybils, s)
		names = krpc.AppendNode(names, krpc.NodeInfo{ID: s.id, Addr: simnet.Addr(first + i)})
	}
	for _, s := range sybils {
		s.answer = func(*krpc.Message) *krpc.Message {
			return &krpc.Message{Kind: krpc.KindReply, HasID: true, ID: s.id, Nodes: names[:8*krpc.Node4Len], Token: []byte("t")}
		}
		for i := range crowdLabHonest {
			s.host.Send(simnet.Addr(i), []byte(packet(krpc.MethodPing, func(q *krpc.Message) { q.ID = s.id })))
		}
		l.clock.Run(30 * time.Second)
	}
	l.clock.Run(5 * time.Minute)
}

// look runs a lookup of n to its end.
func (l *crowdLab) look(cfg Lookup) (res LookupResult) {
	l.t.Helper()
	done := false
	cfg.Done = func(r LookupResult) { res, done = r, true }
	l.n.Lookup(cfg)
	if !l.clock.RunUntil(func() bool { return done }, time.Minute) {
		l.t.Fatal("the lookup does not end")
	}
	return res
}

func (l *crowdLab) isSybil(c Contact) bool { return c.ID.CommonPrefixLen(l.key) >= 24 }

// A lookup that ends in a crowd goes on to nodes beyond it, and says so once.
func TestLookupGoesPastACrowd(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	l := newCrowdLab(t)
	if res := l.look(Lookup{Kind: LookupPut, Target: krpc.ID{0xc3}}); res.Alarm || len(l.told) > 0 {
		t.Fatalf("an alarm without a crowd: %+v", l.told)
	}
	var visited []krpc.ID
	res := l.look(Lookup{Kind: LookupPut, Target: l.key, Visit: func(from krpc.NodeInfo, _ *krpc.Message) { visited = append(visited, from.ID) }})
	if !res.Alarm || len(res.Closest) != DefaultK || !l.isSybil(res.Closest[DefaultK-1]) {
		t.Fatalf("alarm %v, %d nodes", res.Alarm, len(res.Closest))
	}
	outside := 0
	for _, id := range visited {
		if !l.isSybil(Contact{NodeInfo: krpc.NodeInfo{ID: id}}) {
			outside++
		}
	}
	if outside < DefaultK {
		t.Errorf("%d honest nodes were asked", outside)
	}
	if len(l.told) != 1 || l.told[0].Target != l.key || l.told[0].Own || l.told[0].Nodes < DefaultK || l.told[0].Expected > 1 {
		t.Errorf("told %+v", l.told)
	}
	l.clock.Run(time.Minute)
	l.look(Lookup{Kind: LookupGet, Target: l.key})
	if s := l.n.Stats(); len(l.told) != 1 || s.Alarms != 2 || s.AlarmedKeys != 1 || s.ActiveLookups != 0 {
		t.Errorf("told %d times, %d alarms, %d keys, %d lookups", len(l.told), s.Alarms, s.AlarmedKeys, s.ActiveLookups)
	}
	l.clock.Run(2 * time.Hour)
	if s := l.n.Stats(); s.AlarmedKeys != 0 {
		t.Errorf("%d keys are under alarm two hours later", s.AlarmedKeys)
	}
}

// Whoever finds a crowd around the key of an announce stores at honest nodes too.
func TestAnnouncesGoPastACrowd(t *testing.T) {
	l := newCrowdLab(t)
	res := l.look(Lookup{
		Kind: LookupAnnounce, Target: l.key, Tokens: true, Method: krpc.MethodGetPeers,
		Fill: func(m *krpc.Message) { m.HasInfoHash, m.InfoHash = true, l.key },
	})
	sybils := 0
	for i, c := range res.Willing {
		if l.isSybil(c) {
			sybils++
		}
		if slices.ContainsFunc(res.Willing[:i], func(o Contact) bool { return o.NodeInfo == c.NodeInfo }) {
			t.Errorf("%v is there twice", c.NodeInfo)
		}
	}
	if len(res.Willing) > 3*DefaultK || sybils != len(res.Willing) {
		t.Errorf("%d of %d that gave a token are of the crowd; nobody else has one to give here", sybils, len(res.Willing))
	}
	if !res.Alarm {
		t.Error("no alarm")
	}
}

// A lookup can be stopped at any time on its way past a crowd, and so can the node.
func TestBypassCanBeStopped(t *testing.T) {
	l := newCrowdLab(t)
	l.net.SetLink(simnet.Link{Latency: simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, 1)})
	onTheWay := 0
	for after := time.Duration(0); after < 3*time.Second; after += 20 * time.Millisecond {
		results := 0
		stop := l.n.Lookup(Lookup{Kind: LookupPut, Target: l.key, Done: func(LookupResult) { results++ }})
		l.clock.Run(after)
		if l.n.Stats().ActiveLookups == 2 {
			onTheWay++ // in a shell
		}
		stop()
		l.clock.Run(time.Millisecond)
		if results != 1 || l.n.Stats().ActiveLookups != 0 {
			t.Fatalf("stopped after %v: %d results, %d lookups", after, results, l.n.Stats().ActiveLookups)
		}
	}
	if onTheWay < 5 {
		t.Errorf("%d were on the way past the crowd", onTheWay)
	}
	results := 0
	l.n.Lookup(Lookup{Kind: LookupPut, Target: l.key, Done: func(LookupResult) { results++ }})
	l.clock.RunUntil(func() bool { return l.n.Stats().ActiveLookups == 2 }, time.Minute)
	l.n.Close()
	if results != 1 {
		t.Errorf("%d results when the node closed", results)
	}
}

// A network that has grown has crowds everywhere. Nobody is alarmed: it is looked at again.
func TestGrownNetworkIsNoCrowd(t *testing.T) {
	l := &crowdLab{lab: newLab(t)}
	l.network(20)
	l.n = l.node(simnet.Addr(20), func(c *NodeConfig) {
		l.via(simnet.Addr(0))(c)
		c.Alarmed = func(a Alarm) { l.told = append(l.told, a) }
	})
	l.n.Start()
	l.clock.Run(2 * time.Hour)
	l.lookAround()
	for i := range 200 {
		l.node(simnet.Addr(100+i), l.via(simnet.Addr(i%20))).Start()
		l.clock.Run(time.Second)
	}
	l.clock.Run(time.Minute)
	past := 0
	for i := range 30 {
		if l.look(Lookup{Kind: LookupGet, Target: krpc.ID{byte(i * 8), 0x80, byte(i)}}).Alarm {
			past++
		}
		l.clock.Run(10 * time.Second)
	}
	if len(l.told) > 0 || past > 3 {
		t.Errorf("%d alarms; %d of 30 lookups went past a crowd", len(l.told), past)
	}
}

// Who has ids next to ours has our upkeep end among them. That says nothing of the size.
func TestNeighboursDoNotHideTheSize(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("six hours of a thousand neighbours take too long")
	}
	l := newCrowdLab(t)
	before := l.n.size.nodes(DefaultK)
	l.surround(l.n.ID(), 1000)
	l.clock.Run(6 * time.Hour)
	if size := l.n.size.nodes(DefaultK); size > 1.5*before {
		t.Errorf("the size is taken for %.0f, before it was %.0f", size, before)
	}
	if d := l.n.depth(); d > 16 {
		t.Errorf("%d buckets are looked after, in a network of %d", d, crowdLabHonest)
	}
	if res := l.look(Lookup{Kind: LookupGet, Target: l.key}); !res.Alarm {
		t.Error("no alarm of a key")
	}
}

// More keys than are remembered to be under alarm do not take more memory.
func TestAlarmsAreBounded(t *testing.T) {
	l := newLab(t)
	told := 0
	n := l.node(simnet.Addr(0), func(c *NodeConfig) { c.Alarmed = func(Alarm) { told++ } })
	for i := range 2 * maxAlarms {
		n.mu.Lock()
		n.raise(krpc.ID{byte(i), byte(i >> 8)}, crowd{nodes: 8})
		n.unlock()
		l.clock.Run(time.Second)
	}
	if s := n.Stats(); s.AlarmedKeys != maxAlarms || s.MaxAlarmed != maxAlarms || s.Alarms != 2*maxAlarms {
		t.Errorf("%d keys of %d, %d alarms", s.AlarmedKeys, s.MaxAlarmed, s.Alarms)
	}
	if most := int(2*maxAlarms*time.Second/alarmPause) + 1; told > most {
		t.Errorf("told %d times, want at most %d", told, most)
	}
}

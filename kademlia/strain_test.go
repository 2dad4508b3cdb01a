package kademlia

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// strainable is a transport that is under strain while it takes datagrams in one of so many tenths
// of a second only, chosen by chance.
type strainable struct {
	*simnet.Host
	takes *int
}

func (s strainable) Strained() bool { return *s.takes > 1 }

// SetPreferred implements krpc.Strainer.
func (s strainable) SetPreferred(func(time.Time) *krpc.Preferred) {}

// strained adds a node with such a transport to a network.
func (l *lab) strained(takes *int) (n *Node) {
	l.t.Helper()
	host := l.net.Host(simnet.Addr(1000), func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		if tenth := uint64(now.UnixMilli() / 100); rand.New(rand.NewPCG(1, tenth)).IntN(*takes) == 0 {
			n.Deliver(now, from, b, out)
		}
	})
	cfg := NodeConfig{Transport: strainable{host, takes}, Clock: l.clock, Rand: testRand(1000)}
	l.via(simnet.Addr(0))(&cfg)
	var err error
	if n, err = NewNode(cfg); err != nil {
		l.t.Fatal(err)
	}
	n.Start()
	l.clock.Run(20 * time.Minute)
	return n
}

// A node whose receive buffer is full in half of the moments finds whom it looks for.
func TestAStrainedNodeFindsTheClosest(t *testing.T) {
	const lookups = 50
	l := newLab(t)
	l.net.SetLink(simnet.Link{Latency: simnet.LognormalRTT(50*time.Millisecond, 100*time.Millisecond, 1)})
	nodes := l.network(40)
	takes := 1
	n := l.strained(&takes)
	takes = 2
	found := 0
	for i := range lookups {
		target := krpc.RandomID(testRand(uint64(i)))
		slices.SortFunc(nodes, func(a, b *Node) int { return krpc.CompareDistance(a.ID(), b.ID(), target) })
		n.Lookup(Lookup{Target: target, Done: func(res LookupResult) {
			for _, o := range nodes[:DefaultK] {
				if slices.ContainsFunc(res.Closest, func(c Contact) bool { return c.ID == o.ID() }) {
					found++
				}
			}
		}})
		l.clock.Run(20 * time.Second)
	}
	mean := float64(found) / lookups
	t.Logf("lookups found %.2f of the %d closest", mean, DefaultK)
	if mean < 7.8 { // 7.4 with three tries
		t.Error("too few")
	}
}

// However many replies it loses, it does not take its contacts for dead.
func TestAStrainedNodeKeepsItsContacts(t *testing.T) {
	l := newLab(t)
	l.network(40)
	takes := 1
	n := l.strained(&takes)
	before := n.view.Load().size
	takes = 12
	for i := range 50 {
		n.Lookup(Lookup{Target: krpc.RandomID(testRand(uint64(i)))})
		for range 20 {
			n.Deliver(l.clock.Now(), simnet.Addr(2000), []byte("a flood"), nil)
			l.clock.Run(time.Second)
		}
	}
	t.Logf("%d of %d", n.view.Load().size, before)
	if after := n.view.Load().size; after < before {
		t.Errorf("%d contacts of %d are left", after, before)
	}
}

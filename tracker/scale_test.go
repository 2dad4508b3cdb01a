package tracker

import (
	"flag"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// A node holds 8 x 10 info-hashes, as it does with 100 000 of them at 10 000 nodes.
var (
	scaleNodes  = flag.Int("nodes", 0, "nodes of the world of TestAnnouncesAtScale; 0: 500, fewer under the race detector")
	scaleHashes = flag.Int("hashes", 0, "info-hashes that one of them tracks; 0: ten a node")
)

// maxAnnounceQueries is what one announce may cost on average. Eight get_peers for the
// tokens and eight announce_peer are the least.
const maxAnnounceQueries = 19

// scaleWorld returns a world of nodes that limit who asks them, as they do outside of
// simulations.
func scaleWorld(t *testing.T, nodes int) *world {
	w := emptyWorld(t, simnet.Addr)
	w.change = func(c *kademlia.NodeConfig) {
		c.Limiter = krpc.NewLimiter(krpc.DefaultSourceRate, krpc.DefaultSourceBurst, 64, w.rng)
	}
	w.add(Config{})
	for range nodes - 1 {
		w.clock.Run(20 * time.Millisecond)
		w.add(Config{}, w.any().addr, w.any().addr, w.any().addr)
	}
	w.clock.Run(8 * time.Minute)
	return w
}

// addAnnouncer adds a member with a send rate for 100 000 info-hashes of 2 500 a second.
func (w *world) addAnnouncer(hashes int) *member {
	w.change = func(c *kademlia.NodeConfig) {
		rate := 2500 * float64(hashes) / 100_000
		c.Pacer = krpc.NewPacer(rate, int(rate))
		c.Remotes = krpc.NewRemotes(1e6) // counts
	}
	m := w.add(Config{}, w.any().addr, w.any().addr, w.any().addr)
	w.clock.Run(5 * time.Minute)
	return m
}

// sweepCost is what a member has sent in one interval.
type sweepCost struct {
	announces, failed        uint64
	queries, find, get, post uint64
	timeouts, refused        uint64
	remotes                  uint64
	lag                      time.Duration // at its end
}

func (w *world) runRound(m *member) sweepCost {
	before, sent := m.Stats(), m.node.Stats().Endpoint
	w.clock.Run(15 * time.Minute)
	after, s := m.Stats(), m.node.Stats().Endpoint
	r := sweepCost{
		announces: after.Announces - before.Announces, failed: after.AnnouncesFailed - before.AnnouncesFailed,
		refused: s.Refused - sent.Refused, remotes: s.Remotes.New - sent.Remotes.New, lag: after.AnnounceLag,
	}
	for i := range s.Methods {
		r.queries += s.Methods[i].QueriesOut - sent.Methods[i].QueriesOut
		r.timeouts += s.Methods[i].Timeouts - sent.Methods[i].Timeouts
	}
	of := func(m krpc.Method) uint64 { return s.Methods[m].QueriesOut - sent.Methods[m].QueriesOut }
	r.find, r.get, r.post = of(krpc.MethodFindNode), of(krpc.MethodGetPeers), of(krpc.MethodAnnouncePeer)
	return r
}

// held returns how many info-hashes the members hold together, and the most that one does.
func (w *world) held() (all, most int) {
	hashes := map[krpc.ID]bool{}
	for _, m := range w.members {
		most = max(most, len(m.swarms.shards[0].swarms))
		for _, s := range m.swarms.shards[0].swarms {
			hashes[s.id] = true
		}
	}
	return len(hashes), most
}

// One node announces so many info-hashes that lookups for each of them by itself would be
// too much: in the order of the keyspace, each starts where the one before has ended.
func TestAnnouncesAtScale(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	nodes, hashes := *scaleNodes, *scaleHashes
	if nodes == 0 {
		nodes = 500
	}
	if hashes == 0 {
		hashes = 10 * nodes
	}
	w := scaleWorld(t, nodes)
	m := w.addAnnouncer(hashes)
	tracked := make([]krpc.ID, hashes)
	for i := range tracked {
		tracked[i] = w.randomHash()
		w.mustTrack(m, tracked[i], AnnounceOptions{Port: 4001})
	}
	for i := range 2 {
		r := w.runRound(m)
		each := func(n uint64) float64 { return float64(n) / float64(r.announces) }
		t.Logf("round %d: %d announces of %d info-hashes, %d failed; %.2f queries each (find_node %.2f, get_peers %.2f, announce_peer %.2f), %.2f unanswered, %d refused, %.2f new remotes; lag %v, round %v",
			i+1, r.announces, hashes, r.failed, each(r.queries), each(r.find), each(r.get), each(r.post), each(r.timeouts), r.refused, each(r.remotes), r.lag, m.Stats().AnnounceRound)
		if each(r.queries) > maxAnnounceQueries {
			t.Errorf("%.2f queries an announce, want at most %d", each(r.queries), maxAnnounceQueries)
		}
		// In the first round some are announced twice, since all were due at once.
		if r.failed > 0 || r.refused > 0 || i > 0 && r.lag > time.Minute {
			t.Errorf("round %d: %+v", i+1, r)
		}
		if held, most := w.held(); held != hashes {
			t.Errorf("%d of %d info-hashes are held, up to %d by one node", held, hashes, most)
		}
	}
	found, sample := 0, min(2000, hashes)
	for _, ih := range tracked[:sample] {
		if peers, _ := w.find(w.any(), ih); len(peers) == 1 && peers[0] == m.at(4001) {
			found++
		}
	}
	t.Logf("%d of %d found", found, sample)
	if found < sample {
		t.Errorf("%d of %d found", found, sample)
	}
}

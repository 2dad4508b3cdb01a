package mainline

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	libtorrentInFlight     = 5
	libtorrentShortTimeout = time.Second
	libtorrentHardTimeout  = 15 * time.Second
	libtorrentResults      = 100
)

// Libtorrent is the lookup policy of libtorrent 2.0.8 with its routing table, for
// comparison: the policy, not the program with its limits and ticks. Of the queries
// under way only those among the nearest results count against its limit of five; a
// second without a reply raises the limit by one until the reply comes or fifteen
// seconds have passed; the end is when eight have replied and nothing nearer is under
// way.
func Libtorrent() Policy {
	return Policy{Name: "libtorrent 2.0.8", New: func(e Env) Subject {
		s := &libtorrent{client: newClient(e)}
		s.shortTimeout, s.hardTimeout = libtorrentShortTimeout, libtorrentHardTimeout
		s.table.self = s.id
		s.contacts = s.table.closest
		return s
	}}
}

// LibtorrentAlone is the same policy with the table of a node with k-buckets, whose
// contacts are as dead as any: what policies were compared by before.
func LibtorrentAlone() Policy {
	return Policy{Name: "libtorrent 2.0.8, policy alone", New: func(e Env) Subject {
		s := Libtorrent().New(e).(*libtorrent)
		s.contacts = e.Listed
		return s
	}}
}

type libtorrent struct {
	client
	table    libtorrentTable
	contacts func(target krpc.ID) []krpc.NodeInfo // to start from
}

// Join implements Subject: it looks up the subject's own id, to the end, until
// somebody is known.
func (s *libtorrent) Join(bootstrap netip.AddrPort, ready func()) {
	t := s.traversal(s.id)
	t.message = krpc.Message{Method: krpc.MethodFindNode, HasTarget: true, Target: s.id}
	t.onEnd = func(int) {
		if len(s.table.closest(s.id)) == 0 {
			s.Join(bootstrap, ready)
			return
		}
		ready()
	}
	t.add(krpc.NodeInfo{ID: krpc.RandomID(s.Rand), Addr: bootstrap})
	t.step()
}

// FindPeers implements Subject.
func (s *libtorrent) FindPeers(ih krpc.ID, onPeer func(), onEnd func(queries int)) {
	t := s.traversal(ih)
	t.message = krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih}
	t.onPeer, t.onEnd = onPeer, onEnd
	for _, n := range s.contacts(ih) {
		t.add(n)
	}
	t.step()
}

// libtorrentTraversal is one lookup.
type libtorrentTraversal struct {
	s        *libtorrent
	target   krpc.ID
	message  krpc.Message
	onPeer   func()
	onEnd    func(queries int)
	results  []*libtorrentResult // closest first
	networks map[netip.Prefix]bool

	limit    int // 5, and one more for each query past the short timeout
	underWay int
	queries  int
	over     bool
}

// libtorrentResult is a node that a lookup has heard of.
type libtorrentResult struct {
	krpc.NodeInfo
	asked, alive, failed, late bool
}

func (s *libtorrent) traversal(target krpc.ID) *libtorrentTraversal {
	return &libtorrentTraversal{s: s, target: target, limit: libtorrentInFlight, networks: make(map[netip.Prefix]bool)}
}

func (t *libtorrentTraversal) place(id krpc.ID) (int, bool) {
	return slices.BinarySearchFunc(t.results, id, func(r *libtorrentResult, id krpc.ID) int {
		return krpc.CompareDistance(r.ID, id, t.target)
	})
}

// add takes note of a node, unless its id or its network is known already.
func (t *libtorrentTraversal) add(n krpc.NodeInfo) {
	i, known := t.place(n.ID)
	network := networkOf(n.Addr)
	if known || t.networks[network] {
		return
	}
	t.networks[network] = true
	t.results = slices.Insert(t.results, i, &libtorrentResult{NodeInfo: n})
	if len(t.results) <= libtorrentResults {
		return
	}
	last := t.results[libtorrentResults]
	if last.asked && !last.alive && !last.failed {
		t.underWay--
	}
	last.failed = true // what comes of it is of no interest
	t.results = t.results[:libtorrentResults]
}

// step asks whom it may, and ends the lookup when it is over.
func (t *libtorrentTraversal) step() {
	if t.over {
		return
	}
	wanted, atTop := k, 0
	for i := 0; i < len(t.results) && wanted > 0 && atTop < t.limit; i++ {
		switch r := t.results[i]; {
		case r.alive:
			wanted--
		case r.failed:
		case r.asked:
			atTop++
		default:
			t.ask(r)
			atTop++
		}
	}
	if wanted == 0 && atTop == 0 || t.underWay == 0 {
		t.over = true
		t.onEnd(t.queries)
	}
}

func (t *libtorrentTraversal) ask(r *libtorrentResult) {
	r.asked = true
	t.underWay++
	t.queries++
	asked := r.NodeInfo
	t.s.ask(r.Addr, t.message, func() {
		t.s.table.failed(asked)
		r.late = true
		t.limit++
		t.step()
	}, func(m *krpc.Message, rtt time.Duration) {
		if m == nil {
			t.s.table.failed(asked)
		} else {
			t.s.table.seen(krpc.NodeInfo{ID: m.ID, Addr: r.Addr}, rtt)
		}
		if !t.over && !r.failed {
			t.answered(r, m)
		}
	})
}

// answered takes in a reply; nil: there is none.
func (t *libtorrentTraversal) answered(r *libtorrentResult, m *krpc.Message) {
	t.underWay--
	if r.late {
		t.limit = max(t.limit-1, 1)
	}
	if r.alive, r.failed = m != nil, m == nil; r.alive {
		t.rename(r, m.ID)
		for n := range m.EachNode {
			t.add(n)
		}
		for range m.EachPeer {
			t.onPeer()
		}
	}
	t.step()
}

// rename puts r where the id belongs that it answers with.
func (t *libtorrentTraversal) rename(r *libtorrentResult, id krpc.ID) {
	if r.ID == id {
		return
	}
	r.ID = id
	slices.SortFunc(t.results, func(a, b *libtorrentResult) int { return krpc.CompareDistance(a.ID, b.ID, t.target) })
}

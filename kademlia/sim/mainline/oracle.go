package mainline

import (
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Oracle asks everybody that it hears of and that is closer than who named them, at
// once, loses nothing, and ends with the first peer: without a table of its own,
// nothing is quicker.
func Oracle() Policy {
	return Policy{Name: "oracle", Lossless: true, New: func(e Env) Subject {
		s := &oracle{client: newClient(e)}
		s.hardTimeout = libtorrentHardTimeout
		return s
	}}
}

type oracle struct{ client }

// Join implements Subject.
func (s *oracle) Join(_ netip.AddrPort, ready func()) { ready() }

// FindPeers implements Subject.
func (s *oracle) FindPeers(ih krpc.ID, onPeer func(), onEnd func(queries int)) {
	asked := make(map[netip.AddrPort]bool)
	found := false
	var ask func(n krpc.NodeInfo)
	ask = func(n krpc.NodeInfo) {
		if asked[n.Addr] || found {
			return
		}
		asked[n.Addr] = true
		q := krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih}
		s.ask(n.Addr, q, nil, func(r *krpc.Message, _ time.Duration) {
			if r == nil || found {
				return
			}
			if r.Values != nil {
				found = true
				onPeer()
				onEnd(len(asked))
				return
			}
			for named := range r.EachNode {
				if krpc.CompareDistance(named.ID, n.ID, ih) < 0 {
					ask(named)
				}
			}
		})
	}
	for _, n := range s.Listed(ih) {
		ask(n)
	}
}

package load

import "math/rand/v2"

// Kind is a kind of query.
type Kind uint8

// The kinds of queries.
const (
	Ping         Kind = iota
	FindNode          // for a random target
	GetPeersHit       // of a swarm of 50 peers
	GetPeersMiss      // of a random info-hash
	AnnouncePeer      // again, of a peer that the node has

	NumKinds = iota
)

var kindNames = [NumKinds]string{"ping", "find_node", "get_peers hit", "get_peers miss", "announce_peer"}

// String returns the name of k.
func (k Kind) String() string { return kindNames[k] }

// Mix is how many queries of each kind there are among as many as its sum.
type Mix [NumKinds]int

// Only returns the mix of queries of one kind.
func Only(k Kind) (m Mix) {
	m[k] = 1
	return m
}

// Mainline returns a mix like that of a node of the mainline DHT: 15 % ping, 25 %
// find_node, 50 % get_peers, of which two in five find peers, and 10 % announce_peer.
func Mainline() Mix {
	return Mix{Ping: 15, FindNode: 25, GetPeersHit: 20, GetPeersMiss: 30, AnnouncePeer: 10}
}

// NeedsPeers tells whether some of m are about the peers that Prepare announces, so
// that a node that stores none cannot be asked them.
func (m Mix) NeedsPeers() bool { return m[GetPeersHit] > 0 || m[AnnouncePeer] > 0 }

// schedule returns the kinds of m in random order, many times over, so that neither
// side can learn it.
func (m Mix) schedule(rng *rand.Rand) []Kind {
	const rounds = 10
	var kinds []Kind
	for k, n := range m {
		for range n * rounds {
			kinds = append(kinds, Kind(k))
		}
	}
	rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return kinds
}

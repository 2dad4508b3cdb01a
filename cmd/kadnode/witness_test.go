package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// witness announces peers and puts items, and remembers what the node has acknowledged. The
// info-hashes and keys are its own.
type witness struct {
	*inquirer
	rng *rand.Rand
	key ed25519.PrivateKey

	swarms       []*swarmSeen
	items        []*itemSeen
	acknowledged int   // announces and puts
	err          error // the first one that was answered so

	round int
}

// swarmSeen is a swarm with the peers that were acknowledged.
type swarmSeen struct {
	hash  krpc.ID
	peers map[netip.AddrPort]struct{}
	round int // of the last announce
}

// itemSeen is an item that was put.
type itemSeen struct {
	target krpc.ID
	item   store.Item // as of the last put
	salt   []byte     // nil: immutable
	seq    int64      // that was acknowledged; -1: none was
	busy   bool       // a put is under way
	round  int        // of the last put
}

func newWitness(t *testing.T, target netip.AddrPort, seed, n uint64) *witness {
	t.Helper()
	w := &witness{inquirer: newInquirer(t, target), rng: rand.New(rand.NewPCG(seed, n))}
	var b [ed25519.SeedSize]byte
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	w.key = ed25519.NewKeyFromSeed(b[:])
	return w
}

// The bounds of what a witness has stored: nothing gives way in a node with the defaults, and one
// reply names all peers of a swarm.
const (
	mostSwarms     = 20_000
	mostItems      = 2000
	mutableItems   = 40
	swarmAddresses = 4
	addressPorts   = 10 // of each of them
)

// something returns the next thing to have stored.
func (w *witness) something() *inquiry {
	switch w.rng.IntN(12) {
	case 0:
		return w.put(w.anImmutable())
	case 1:
		return w.put(w.aMutable())
	default:
		return w.announces()
	}
}

// announces returns a get_peers that is followed by announces with its token. Some are of peers
// that are stored already.
func (w *witness) announces() *inquiry {
	var s *swarmSeen
	if n := len(w.swarms); n > 0 && (n >= mostSwarms || w.rng.IntN(3) == 0) {
		s = w.swarms[w.rng.IntN(n)]
	} else {
		s = &swarmSeen{hash: krpc.RandomID(w.rng), peers: make(map[netip.AddrPort]struct{})}
		w.swarms = append(w.swarms, s)
	}
	from := w.address(int(s.hash[0]) + w.rng.IntN(swarmAddresses))
	first, ports := w.rng.IntN(addressPorts), 1+w.rng.IntN(addressPorts)
	return &inquiry{
		from:  from,
		query: krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: s.hash},
		answered: func(r *krpc.Message) {
			if w.failed(r) {
				return
			}
			token := bytes.Clone(r.Token)
			for i := range ports {
				w.then = append(w.then, w.announce(s, from, uint16(1000+(first+i)%addressPorts), token))
			}
		},
	}
}

func (w *witness) announce(s *swarmSeen, from netip.Addr, port uint16, token []byte) *inquiry {
	return &inquiry{
		from:  from,
		query: krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: s.hash, Port: port, Token: token},
		answered: func(r *krpc.Message) {
			if w.failed(r) {
				return
			}
			w.acknowledged++
			s.peers[netip.AddrPortFrom(from, port)] = struct{}{}
			s.round = w.round
		},
	}
}

func (w *witness) anImmutable() *itemSeen {
	if len(w.items) >= mostItems {
		if it := w.items[w.rng.IntN(len(w.items))]; it.salt == nil {
			return it
		}
		return nil
	}
	v := fmt.Appendf(nil, "24:%024x", w.rng.Uint64())
	it := &itemSeen{item: store.Item{V: v}, seq: -1}
	it.target = it.item.Target()
	w.items = append(w.items, it)
	return it
}

// aMutable returns the next version of a mutable item, nil if that is being put.
func (w *witness) aMutable() *itemSeen {
	salt := binary.BigEndian.AppendUint16([]byte("salt"), uint16(w.rng.IntN(mutableItems)))
	var it *itemSeen
	for _, known := range w.items {
		if bytes.Equal(known.salt, salt) {
			it = known
			break
		}
	}
	if it == nil {
		it = &itemSeen{salt: salt, seq: -1}
		w.items = append(w.items, it)
	}
	if it.busy {
		return nil
	}
	next, err := store.Sign(w.key, salt, it.item.Seq+1, fmt.Appendf(nil, "i%de", w.rng.Uint32()))
	if err != nil {
		w.err = err
		return nil
	}
	it.item, it.busy = next, true
	it.target = it.item.Target()
	return it
}

// put returns a get that is followed by a put with its token.
func (w *witness) put(it *itemSeen) *inquiry {
	if it == nil {
		return w.announces()
	}
	from, item := w.address(w.rng.IntN(250)), it.item
	return &inquiry{
		from:  from,
		query: krpc.Message{Method: krpc.MethodGet, HasTarget: true, Target: it.target},
		answered: func(r *krpc.Message) {
			if w.failed(r) {
				return
			}
			w.then = append(w.then, &inquiry{
				from: from,
				query: krpc.Message{
					Method: krpc.MethodPut, Token: bytes.Clone(r.Token), V: item.V, K: item.K, Sig: item.Sig,
					Salt: item.Salt, HasSeq: item.Mutable(), Seq: item.Seq,
				},
				answered: func(r *krpc.Message) {
					if w.failed(r) {
						return
					}
					w.acknowledged++
					it.seq, it.busy, it.round = item.Seq, false, w.round
				},
			})
		},
	}
}

// failed notes a reply that is an error.
func (w *witness) failed(r *krpc.Message) bool {
	err := errorOf(r)
	if err != nil && w.err == nil {
		w.err = err
	}
	return err != nil
}

// work has the node store things until it is dead.
func (w *witness) work(dead <-chan struct{}) {
	if err := w.ask(w.something, dead); err != nil && w.err == nil {
		w.err = err
	}
	for _, it := range w.items {
		it.busy = false // who knows whether it was stored
	}
}

// look asks for all that was acknowledged in a round or later, and returns what is lost.
func (w *witness) look(t *testing.T, since int) (looked int, lost []string) {
	t.Helper()
	var inquiries []*inquiry
	miss := func(format string, args ...any) { lost = append(lost, fmt.Sprintf(format, args...)) }
	for _, s := range w.swarms {
		if len(s.peers) > 0 && s.round >= since {
			looked += len(s.peers)
			inquiries = append(inquiries, w.lookForPeers(s, miss))
		}
	}
	for _, it := range w.items {
		if it.seq >= 0 && it.round >= since {
			looked++
			inquiries = append(inquiries, w.lookForItem(it, miss))
		}
	}
	w.all(t, inquiries)
	return looked, lost
}

func (w *witness) lookForPeers(s *swarmSeen, miss func(string, ...any)) *inquiry {
	return &inquiry{
		from:  w.address(0),
		query: krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: s.hash},
		answered: func(r *krpc.Message) {
			found := make(map[netip.AddrPort]bool)
			r.EachPeer(func(p netip.AddrPort) bool {
				found[p] = true
				return true
			})
			for p := range s.peers {
				if !found[p] {
					miss("peer %v of %v, among %d found of %d, announced in round %d", p, s.hash, len(found), len(s.peers), s.round)
				}
			}
		},
	}
}

func (w *witness) lookForItem(it *itemSeen, miss func(string, ...any)) *inquiry {
	return &inquiry{
		from:  w.address(0),
		query: krpc.Message{Method: krpc.MethodGet, HasTarget: true, Target: it.target},
		answered: func(r *krpc.Message) {
			if r.V == nil || it.salt != nil && r.Seq < it.seq || it.salt == nil && !bytes.Equal(r.V, it.item.V) {
				miss("item %v, seq %d, got %q seq %d, put in round %d", it.target, it.seq, r.V, r.Seq, it.round)
			}
		},
	}
}

// store has the node store so many things, and what they lead to.
func (w *witness) store(t *testing.T, n int) {
	t.Helper()
	err := w.ask(func() *inquiry {
		if n--; n < 0 {
			return nil
		}
		return w.something()
	}, nil)
	if err == nil {
		err = w.err
	}
	if err != nil {
		t.Fatal(err)
	}
}

package store

import (
	"crypto/ed25519"
	"testing"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// FuzzServe holds that no datagram harms a node with items: it does not panic, what it
// answers is a message within the bounds, and its books stay right. A datagram that is
// a put is delivered again with the token that it lacks, and if it is of a mutable item
// with a signature.
func FuzzServe(f *testing.F) {
	for _, q := range []krpc.Message{
		getQuery(krpc.ID{1}),
		{Method: krpc.MethodGet, HasTarget: true, HasSeq: true, Seq: 1, Want: krpc.WantN4 | krpc.WantN6},
		{Method: krpc.MethodPut, Token: []byte("12345678"), V: []byte("12:Hello World!")},
		{Method: krpc.MethodPut, Token: []byte{}, V: []byte("le"), HasTTL: true, TTL: -1},
		{Method: krpc.MethodPut, Token: []byte{}, V: []byte("de"), HasSeq: true, Seq: 1, Salt: make([]byte, 65)},
		{Method: krpc.MethodPut, Token: []byte{}, V: ofSize(MaxValue, 1).V, HasTTL: true, TTL: 60},
		{
			Method: krpc.MethodPut, Token: []byte{}, V: []byte("d1:ai1ee"), K: make([]byte, 32), Sig: make([]byte, 64),
			Salt: []byte("foobar"), HasSeq: true, Seq: 5, HasCas: true, Cas: 4,
		},
	} {
		f.Add(packetOf(q))
	}
	w := sim.New(sim.Config{Seed: 1})
	node := w.Grow().Node
	f.Fuzz(func(t *testing.T, packet []byte) {
		var q krpc.Message
		if q.Decode(packet) != nil || q.Kind != krpc.KindQuery || q.Method == krpc.MethodUnknown {
			return
		}
		items := New([]*kademlia.Node{node}, Config{MaxBytes: 4000, MaxPerIP: 3})
		k := &keeper{t: t, world: w, node: node, Items: items, shelf: items.memory(0)}
		held := mutable(t, "foobar", 5, "4:held")
		k.mustPut(held, immutable(1))
		k.deliver(stranger, packet)
		k.checkBooks()
		if q.Method != krpc.MethodPut {
			return
		}
		it := Item{V: q.V}
		if q.K != nil && len(q.Salt) <= MaxSalt {
			it.K, it.Salt, it.Seq = owner.Public().(ed25519.PublicKey), q.Salt, q.Seq
			it.Sig = ed25519.Sign(owner, it.appendSigned(nil))
		}
		genuine := k.putQuery(stranger, it)
		genuine.HasTTL, genuine.TTL, genuine.HasCas, genuine.Cas = q.HasTTL, q.TTL, q.HasCas, q.Cas
		r := k.ask(stranger, genuine)
		k.checkBooks()
		if r.Kind == krpc.KindReply && (!q.HasTTL || q.TTL > 0) {
			k.wantHeld(true, it)
		} else {
			k.wantHeld(true, held)
		}
	})
}

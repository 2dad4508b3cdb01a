package fuzz

import (
	"bytes"
	"math"
	"net/netip"
	"slices"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// The ways in which a query from a stranger can be another than the plain one.
const (
	queryOtherID = iota
	queryOwnID
	queryWant4
	queryWant6
	queryReadOnly
	queryFlags // of BEP 33
	queryImplied
	querySeq
	queryCas
	queryTTL
	queryForeignToken
	queryBadToken
	queryNoTarget
	queryBadItem
	queryLongTID
	queryOtherPort
)

// query delivers a query from a stranger.
func (p *program) query() {
	in := p.in
	from := p.stranger(in.next())
	method, target, m := krpc.Method(in.below(krpc.NumMethods)), p.target(in.next()), in.mask()
	if m.has(queryOtherPort) {
		from.addr = netip.AddrPortFrom(from.addr.Addr(), uint16(in.next()))
	}
	q := krpc.Message{Kind: krpc.KindQuery, Method: method, TID: []byte("aa"), HasID: true, ID: from.id, ReadOnly: m.has(queryReadOnly)}
	switch method {
	case krpc.MethodGetPeers, krpc.MethodAnnouncePeer:
		q.HasInfoHash, q.InfoHash = !m.has(queryNoTarget), target
		q.NoSeed, q.Scrape, q.Seed = m.has(queryFlags), m.has(queryFlags), m.has(queryFlags)
		q.Port, q.ImpliedPort = uint16(in.next()), m.has(queryImplied)
	case krpc.MethodPut:
		target = p.fillPut(&q, m)
	default:
		q.HasTarget, q.Target = !m.has(queryNoTarget), target
	}
	if method == krpc.MethodAnnouncePeer || method == krpc.MethodPut {
		q.Token = p.token(from.addr, target, m)
	}
	p.fillCommon(&q, m)
	p.last = q.Append(nil)
	p.deliver(from.addr, p.last)
}

// fillCommon sets what a query of any method can have.
func (p *program) fillCommon(q *krpc.Message, m mask) {
	in := p.in
	if m.has(queryOtherID) {
		q.ID = p.stranger(in.next()).id
	}
	if m.has(queryOwnID) {
		q.ID = p.nodes[0].ID()
	}
	if m.has(queryWant4) {
		q.Want |= krpc.WantN4
	}
	if m.has(queryWant6) {
		q.Want |= krpc.WantN6
	}
	if m.has(querySeq) {
		q.HasSeq, q.Seq = true, number(in)
	}
	if m.has(queryCas) {
		q.HasCas, q.Cas = true, number(in)
	}
	if m.has(queryTTL) {
		q.HasTTL, q.TTL = true, number(in)
	}
	if m.has(queryLongTID) {
		q.TID = bytes.Repeat([]byte("t"), 1+in.below(32))
	}
}

// fillPut has q put an item, and returns its target.
func (p *program) fillPut(q *krpc.Message, m mask) krpc.ID {
	it := pool[p.in.below(len(pool))]
	if m.has(queryBadItem) {
		it.V = [][]byte{[]byte("1:b"), []byte("i-0e"), append([]byte("1000:"), make([]byte, 1000)...)}[p.in.below(3)]
	}
	q.V, q.K, q.Salt, q.Sig = it.V, it.K, it.Salt, it.Sig
	q.HasSeq, q.Seq = it.Mutable(), it.Seq
	return it.Target()
}

// token returns the last token that was issued to addr for target, unless m asks for another.
func (p *program) token(addr netip.AddrPort, target krpc.ID, m mask) []byte {
	switch {
	case m.has(queryBadToken):
		return p.in.bytes(p.in.below(200))
	case m.has(queryForeignToken) && len(p.grants) > 0:
		return p.grants[p.in.below(256)%len(p.grants)].token
	}
	for _, g := range slices.Backward(p.grants) {
		if g.to == addr.Addr() && g.target == target {
			return g.token
		}
	}
	return []byte("no token")
}

// number returns an integer, often one at the end of a range.
func number(in *script) int64 {
	b := in.next()
	if b >= 8 {
		return int64(b)
	}
	return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt32, 7200, 7201}[b]
}

// spoiled delivers the last query of a stranger again, with bytes changed or cut off.
func (p *program) spoiled() {
	in := p.in
	b, from := slices.Clone(p.last), p.stranger(in.next()).addr
	for range in.below(4) {
		if len(b) > 0 {
			b[int(in.next())%len(b)] ^= in.next()
		}
	}
	if n := int(in.next()); n < len(b) && n > 0 {
		b = b[:len(b)-n]
	}
	p.deliver(from, append(b, in.bytes(in.below(8))...))
}

// The ways in which a reply can be another than the honest one.
const (
	mutateFrom = iota
	mutateTID
	mutateID
	mutateOwnID
	mutateNoID
	mutateError
	mutateTorn
	mutateMartians
	mutateToken
	mutateValues
	mutateItem
	mutateNumbers
	mutateIP
	mutateByte
	mutateRefused
	mutateNear
)

// reply delivers an answer to a. What m asks for is chosen by in.
func (p *program) reply(a *asked, m mask, in *script) {
	from := a.to
	r := krpc.Message{Kind: krpc.KindReply, TID: a.q.TID, HasID: !m.has(mutateNoID), ID: p.idAt(a.to), IP: seenAt(a)}
	target := a.q.Target
	if a.q.HasInfoHash {
		target = a.q.InfoHash
	}
	p.nameNodes(&r, a, target, m, in)
	if a.q.Method == krpc.MethodGetPeers || a.q.Method == krpc.MethodGet {
		r.Token = []byte("token")
		fillFound(&r, a.q, target)
	}
	if m.has(mutateFrom) {
		from = p.stranger(in.next()).addr
	}
	if m.has(mutateTID) {
		r.TID = [][]byte{r.TID[:3], append(slices.Clone(r.TID), 0), {0, 0, 0, in.next()}, {1}}[in.below(4)]
	}
	if m.has(mutateID) {
		r.ID = p.stranger(in.next()).id
	}
	if m.has(mutateOwnID) {
		r.ID = p.nodes[a.w.node].ID()
	}
	if m.has(mutateToken) {
		r.Token = in.bytes(in.below(200))
	}
	if m.has(mutateValues) {
		r.Values = in.bytes(in.below(100))
	}
	if m.has(mutateItem) {
		fillFound(&r, &krpc.Message{Method: krpc.MethodGet}, pool[in.below(len(pool))].Target())
		r.V = [][]byte{r.V, []byte("1:z"), []byte("i-0e"), nil}[in.below(4)]
	}
	if m.has(mutateNumbers) {
		r.HasSeq, r.Seq, r.HasTTL, r.TTL = true, number(in), true, number(in)
	}
	if m.has(mutateIP) {
		r.IP = p.stranger(in.next()).addr
	}
	if m.has(mutateError) {
		r.Kind, r.ErrorCode, r.ErrorText = krpc.KindError, 200+int64(in.next()), []byte("no")
	}
	if m.has(mutateRefused) {
		codes := []int64{krpc.CodeProtocol, krpc.CodeSeqTooOld, krpc.CodeCasMismatch, krpc.CodeServer}
		r.Kind, r.ErrorCode = krpc.KindError, codes[int(r.TID[0])%len(codes)]
	}
	b := r.Append(nil)
	if m.has(mutateByte) {
		b[int(in.next())%len(b)] ^= in.next()
	}
	p.deliver(from, b)
}

// seenAt returns where the node that has asked is seen.
func seenAt(a *asked) netip.AddrPort {
	if a.w.addr.Addr().Is6() {
		return simnet.Addr6(5000)
	}
	return simnet.Addr(5000)
}

// nameNodes names nodes close to target.
func (p *program) nameNodes(r *krpc.Message, a *asked, target krpc.ID, m mask, in *script) {
	list := closest(target, a.w.addr.Addr().Is6())
	if a.q.Want == krpc.WantN4|krpc.WantN6 {
		list = append(list, closest(target, !a.w.addr.Addr().Is6())...)
	}
	if m.has(mutateNear) { // they are nearer than anybody can be, and will say so themselves
		for i := range list {
			list[i].ID = target
			list[i].ID[19] ^= byte(1 + i)
			p.claimed[list[i].Addr] = list[i].ID
		}
	}
	if m.has(mutateMartians) {
		for i := range list {
			list[i].Addr = p.stranger(in.next()).addr
		}
	}
	for _, n := range list {
		if n.Addr.Addr().Is6() {
			r.Nodes6 = krpc.AppendNode(r.Nodes6, n)
		} else {
			r.Nodes = krpc.AppendNode(r.Nodes, n)
		}
	}
	if m.has(mutateTorn) {
		r.Nodes, r.Nodes6 = r.Nodes[:len(r.Nodes)/3], append(r.Nodes6, in.bytes(20)...)
	}
}

// fillFound adds what is at target: peers, or an item.
func fillFound(r, q *krpc.Message, target krpc.ID) {
	if q.Method == krpc.MethodGetPeers {
		for i := range 3 {
			r.Values = krpc.AppendPeer(r.Values, simnet.Addr(100+i))
		}
		return
	}
	for i := range pool {
		if it := &pool[i]; it.Target() == target && !(q.HasSeq && it.Seq <= q.Seq) {
			r.V, r.K, r.Sig, r.HasSeq, r.Seq = it.V, it.K, it.Sig, it.Mutable(), it.Seq
		}
	}
}

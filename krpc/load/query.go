package load

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/kadnode/kadnode/krpc"
)

// tidLen is the length of a transaction id in bytes.
const tidLen = 4

// tidEnd is how far from its end the transaction id of each of our queries is.
const tidEnd = tidLen + len("1:y1:qe")

// template is a query in which a few fields are to be overwritten: the transaction
// id, and those of id and target that are in there.
type template struct {
	packet     []byte
	id, target int // where they are; 0: nothing is to be overwritten
}

// newTemplate returns m as a query of no one for nothing.
func newTemplate(m krpc.Message) template {
	var id, target krpc.ID
	for i := range id {
		id[i], target[i] = 0xfe, 0xff
	}
	m.Kind, m.TID = krpc.KindQuery, make([]byte, tidLen)
	m.HasID, m.ID, m.Target, m.InfoHash = true, id, target, target
	t := template{packet: m.Append(nil)}
	t.id = bytes.Index(t.packet, id[:])
	t.target = max(bytes.Index(t.packet, target[:]), 0)
	return t
}

func (g *Generator) makeTemplates() {
	getPeers := krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true}
	g.templates = [NumKinds]template{
		Ping:         newTemplate(krpc.Message{Method: krpc.MethodPing}),
		FindNode:     newTemplate(krpc.Message{Method: krpc.MethodFindNode, HasTarget: true}),
		GetPeersHit:  newTemplate(getPeers),
		GetPeersMiss: newTemplate(getPeers),
	}
}

// query appends the query of s.kind by s.asker to b, for a swarm that it draws, or a
// random target. The transaction id is still to be set.
func (g *Generator) query(s *slot, b []byte) []byte {
	var target krpc.ID
	switch s.kind {
	case AnnouncePeer:
		s.item = g.rng.IntN(len(g.credentials))
		c := &g.credentials[s.item]
		s.asker = c.asker
		return append(b, c.announce...)
	case GetPeersHit:
		target = g.swarms[g.rng.IntN(len(g.swarms))]
	default:
		g.randomID(&target)
	}
	return g.templates[s.kind].fill(b, &g.askers[s.asker].id, &target)
}

// randomID draws id, for less than krpc.RandomID costs.
func (g *Generator) randomID(id *krpc.ID) {
	binary.NativeEndian.PutUint64(id[:], g.rng.Uint64())
	binary.NativeEndian.PutUint64(id[8:], g.rng.Uint64())
	binary.NativeEndian.PutUint32(id[16:], g.rng.Uint32())
}

// fill appends the query with these fields to b.
func (t *template) fill(b []byte, id, target *krpc.ID) []byte {
	start := len(b)
	b = append(b, t.packet...)
	if t.id > 0 {
		copy(b[start+t.id:], id[:])
	}
	if t.target > 0 {
		copy(b[start+t.target:], target[:])
	}
	return b
}

// setTID overwrites the transaction id of a query of ours.
func setTID(b []byte, tid uint32) { binary.BigEndian.PutUint32(b[len(b)-tidEnd:], tid) }

// The faults of replies.
const (
	faultError     = "an error"
	faultID        = "the id is missing, or another one"
	faultMalformed = "ill-formed return values"
	faultNodes     = "no nodes"
	faultToken     = "no token"
	faultValues    = "no peers"
)

// check tells what is wrong with the reply m to a query of kind k; "": nothing.
func (g *Generator) check(k Kind, m *krpc.Message) string {
	switch {
	case m.Kind == krpc.KindError:
		return faultError
	case g.cfg.Echo:
		return ""
	case !m.HasID || m.ID != g.server:
		return faultID
	case m.Malformed != 0 || len(m.Nodes)%krpc.Node4Len != 0 || len(m.Nodes6)%krpc.Node6Len != 0:
		return faultMalformed
	case (k == FindNode || k == GetPeersMiss) && len(m.Nodes)+len(m.Nodes6) == 0:
		return faultNodes
	case (k == GetPeersHit || k == GetPeersMiss) && len(m.Token) == 0 && len(g.credentials) > 0:
		return faultToken
	case k == GetPeersHit && len(m.Values) == 0:
		return faultValues
	}
	return ""
}

// note keeps what is wrong with a reply if it is the first one.
func (g *Generator) note(k Kind, fault string) {
	if g.fault == "" {
		g.fault = k.String() + ": " + fault
	}
}

func (g *Generator) noteError(k Kind, m *krpc.Message) {
	if g.fault == "" {
		g.note(k, fmt.Sprintf("error %d: %+q", m.ErrorCode, m.ErrorText))
	}
}

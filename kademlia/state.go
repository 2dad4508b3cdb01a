package kademlia

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxIDs bounds the external addresses whose ids are remembered.
	maxIDs = 16
	// maxStates bounds the addresses that are kept though they are not listened on.
	maxStates = 16
)

// AddrID is the id that a node has at an external address. The zero Addr stands
// for an address that was not known.
type AddrID struct {
	Addr netip.Addr
	ID   krpc.ID
}

// NodeState is what a node keeps over a restart: its ids, so that it returns to
// its place, its contacts, so that it needs no bootstrap node, and its tokens, so that
// those who were given one can still announce. It is secret, for the sake of the tokens.
type NodeState struct {
	IDs      []AddrID // the current one last
	Contacts []krpc.NodeInfo
	Tokens   TokenState
	Saved    time.Time // when this was so, to the second; zero: not known
}

// State returns what is to be saved of the node.
func (n *Node) State() NodeState {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := NodeState{IDs: slices.Clone(n.ids), Tokens: *n.tokens.state.Load(), Saved: n.now()}
	for i := range n.table.buckets {
		for j := range n.table.buckets[i].live {
			if c := &n.table.buckets[i].live[j]; c.answers() {
				s.Contacts = append(s.Contacts, c.info())
			}
		}
	}
	if len(s.Contacts) == 0 || n.restoring > 0 {
		// The restored ones that have not answered yet: they must outlast an outage,
		// and an early end.
		for _, c := range n.cfg.State.Contacts {
			if !slices.Contains(s.Contacts, c) {
				s.Contacts = append(s.Contacts, c)
			}
		}
	}
	return s
}

// firstID chooses the id to start with: that of the address listened on if it is
// public, else the last one of an earlier run, else a random one.
func (n *Node) firstID(local netip.Addr) krpc.ID {
	n.ids = slices.Clone(n.cfg.State.IDs)
	switch {
	case diverse(local):
		return n.idAt(local)
	case len(n.ids) > 0:
		return n.idAt(n.ids[len(n.ids)-1].Addr)
	default:
		return n.idAt(netip.Addr{})
	}
}

// idAt returns our id at an external address, the remembered one if it is still
// good, and makes it the current one.
func (n *Node) idAt(addr netip.Addr) krpc.ID {
	var id krpc.ID
	i := slices.IndexFunc(n.ids, func(a AddrID) bool { return a.Addr == addr })
	switch {
	case i >= 0 && n.mayHave(n.ids[i].ID, addr):
		id = n.ids[i].ID
	case addr.IsValid() && len(n.ids) > 0 && n.mayHave(n.ids[len(n.ids)-1].ID, addr):
		id = n.ids[len(n.ids)-1].ID
	default:
		id = n.newID(addr)
	}
	if i >= 0 {
		n.ids = slices.Delete(n.ids, i, i+1)
	}
	n.ids = append(n.ids, AddrID{addr, id})
	if len(n.ids) > maxIDs {
		n.ids = slices.Delete(n.ids, 0, 1)
	}
	return id
}

// rebase gives the node the id of its new external address and finds its place
// in the network anew.
func (n *Node) rebase(addr netip.Addr) {
	n.forgetRecent()
	id := n.idAt(addr)
	if id == n.table.self {
		return
	}
	n.table.rebase(id, n.now())
	n.counters.idChanges.Add(1)
	n.join()
}

// stateVersion is the version of the saved form. A reader refuses newer ones.
const stateVersion = 1

// The saved form of states: a bencoded dictionary, with addresses and contacts in
// the compact forms of BEP 5. The file that holds it is secret: who can read it can
// make tokens.
type (
	savedStates struct {
		Nodes   []savedState `bencode:"nodes"`
		Version int          `bencode:"version"`
	}
	savedState struct {
		Contacts []byte       `bencode:"contacts"`
		IDs      []savedID    `bencode:"ids"`
		Listen   string       `bencode:"listen"`
		Saved    int64        `bencode:"saved,omitempty"`  // seconds of Unix time; earlier versions had none
		Tokens   *savedTokens `bencode:"tokens,omitempty"` // earlier versions had none
	}
	savedID struct {
		Addr []byte `bencode:"addr"`
		ID   []byte `bencode:"id"`
	}
	savedTokens struct {
		Rotated int64  `bencode:"rotated"` // seconds of Unix time
		Secrets []byte `bencode:"secrets"` // those of TokenState, one after the other
	}
)

// EncodeStates returns the saved form of the states of nodes by the address that
// they listen on.
func EncodeStates(states map[netip.AddrPort]NodeState) ([]byte, error) {
	out := savedStates{Version: stateVersion, Nodes: []savedState{}}
	for _, listen := range slices.SortedFunc(maps.Keys(states), netip.AddrPort.Compare) {
		s := states[listen]
		saved := savedState{Listen: listen.String(), Contacts: []byte{}, IDs: []savedID{}, Tokens: saveTokens(s.Tokens)}
		if !s.Saved.IsZero() {
			saved.Saved = s.Saved.Unix()
		}
		for _, id := range s.IDs {
			saved.IDs = append(saved.IDs, savedID{Addr: id.Addr.AsSlice(), ID: id.ID[:]})
		}
		for _, c := range s.Contacts {
			saved.Contacts = krpc.AppendNode(saved.Contacts, c)
		}
		out.Nodes = append(out.Nodes, saved)
	}
	b, err := bencode.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("kademlia: encode state: %w", err)
	}
	return b, nil
}

// DecodeStates reads the form that EncodeStates writes. Entries that make no
// sense are left out; what is no such form at all is an error.
func DecodeStates(b []byte) (map[netip.AddrPort]NodeState, error) {
	var in savedStates
	if err := bencode.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("kademlia: decode state: %w", err)
	}
	if in.Version < 1 || in.Version > stateVersion {
		return nil, fmt.Errorf("kademlia: decode state: version %d, want 1 to %d", in.Version, stateVersion)
	}
	states := make(map[netip.AddrPort]NodeState, len(in.Nodes))
	for _, saved := range in.Nodes {
		listen, err := netip.ParseAddrPort(saved.Listen)
		if err != nil {
			return nil, fmt.Errorf("kademlia: decode state: %w", err)
		}
		var s NodeState
		for _, id := range saved.IDs {
			addr, ok := netip.AddrFromSlice(id.Addr)
			if len(id.ID) == krpc.IDLen && (ok || len(id.Addr) == 0) && len(s.IDs) < maxIDs {
				s.IDs = append(s.IDs, AddrID{addr, krpc.ID(id.ID)})
			}
		}
		m := krpc.Message{Nodes: saved.Contacts}
		if listen.Addr().Is6() {
			m = krpc.Message{Nodes6: saved.Contacts}
		}
		for node := range m.EachNode {
			s.Contacts = append(s.Contacts, node)
		}
		s.Tokens = restoreTokens(saved.Tokens)
		if saved.Saved != 0 {
			s.Saved = time.Unix(saved.Saved, 0)
		}
		states[listen] = s
	}
	return states, nil
}

// saveTokens returns the saved form of s; nil for the zero TokenState.
func saveTokens(s TokenState) *savedTokens {
	if s == (TokenState{}) {
		return nil
	}
	saved := &savedTokens{Rotated: s.Rotated.Unix()}
	for _, secret := range s.Secrets {
		saved.Secrets = secret.Append(saved.Secrets)
	}
	return saved
}

// restoreTokens is the inverse of saveTokens. What makes no sense is left out.
func restoreTokens(saved *savedTokens) (s TokenState) {
	if saved == nil || len(saved.Secrets) != len(s.Secrets)*krpc.SipKeyLen {
		return s
	}
	for i := range s.Secrets {
		s.Secrets[i] = krpc.SipKeyFrom([krpc.SipKeyLen]byte(saved.Secrets[i*krpc.SipKeyLen:]))
	}
	s.Rotated = time.Unix(saved.Rotated, 0)
	return s
}

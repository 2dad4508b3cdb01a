package main

import (
	"encoding/json"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
)

// statusPage serves /status: what servers are and hold at the moment, as one JSON
// object. Its names stay as they are; others may be added.
type statusPage struct {
	servers []*server
	started time.Time
}

type status struct {
	Version  string        `json:"version"`
	Revision string        `json:"revision"` // empty if it is not known
	Uptime   int64         `json:"uptime_seconds"`
	Nodes    []nodeStatus  `json:"nodes"`
	Tracker  trackerStatus `json:"tracker"`
	Items    itemsStatus   `json:"items"`
}

type nodeStatus struct {
	Listen   netip.AddrPort `json:"listen"`
	Family   string         `json:"family"` // ipv4 or ipv6
	ID       string         `json:"id"`
	External netip.Addr     `json:"external"` // empty until others agree on it
	Joined   bool           `json:"joined"`
	Contacts contactsStatus `json:"contacts"`
	Network  networkStatus  `json:"network"`
	Answered uint64         `json:"queries_answered"`
}

// contactsStatus is the table by the state of its contacts.
type contactsStatus struct {
	Good         int `json:"good"`
	Questionable int `json:"questionable"`
	Bad          int `json:"bad"`
}

type networkStatus struct {
	Nodes   int `json:"nodes"` // estimated; 0: not known yet
	Lookups int `json:"lookups"`
}

type trackerStatus struct {
	InfoHashes int   `json:"info_hashes"`
	Peers      int   `json:"peers"` // seeds included
	Seeds      int   `json:"seeds"`
	Bytes      int64 `json:"bytes"`
}

// itemsStatus is about BEP 44.
type itemsStatus struct {
	Immutable int   `json:"immutable"`
	Mutable   int   `json:"mutable"`
	Bytes     int64 `json:"bytes"`
}

// ServeHTTP implements http.Handler.
func (p *statusPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(p.status(time.Now())) // who does not wait for the answer misses it
}

func (p *statusPage) status(now time.Time) status {
	b := buildInfo()
	out := status{
		Version:  b.Version,
		Revision: b.Revision,
		Uptime:   int64(now.Sub(p.started).Seconds()),
		Nodes:    []nodeStatus{},
	}
	for _, s := range p.servers {
		for _, n := range s.dht.Nodes() {
			out.Nodes = append(out.Nodes, statusOf(n))
		}
		out.Tracker.add(s)
		out.Items.add(s)
	}
	return out
}

func statusOf(n *kademlia.Node) nodeStatus {
	s := n.Stats()
	out := nodeStatus{
		Listen:   n.LocalAddr(),
		Family:   "ipv4",
		ID:       s.ID.String(),
		External: s.ExternalAddr,
		Joined:   s.Joined,
		Network:  networkStatus{int(math.Round(s.NetworkSize)), s.SizeLookups},
	}
	if s.Is6 {
		out.Family = "ipv6"
	}
	for _, b := range s.Buckets {
		out.Contacts.Good += b.Good
		out.Contacts.Questionable += b.Questionable
		out.Contacts.Bad += b.Bad
	}
	for _, m := range s.Endpoint.Methods {
		out.Answered += m.RepliesOut + m.ErrorsOut
	}
	return out
}

func (t *trackerStatus) add(s *server) {
	st := s.tracker.Stats().Swarms
	t.InfoHashes += st.Hashes
	t.Peers += st.Peers4 + st.Peers6
	t.Seeds += st.Seeds4 + st.Seeds6
	t.Bytes += st.Bytes
}

func (i *itemsStatus) add(s *server) {
	st := s.items.Stats()
	i.Immutable += st.Immutable
	i.Mutable += st.Mutable
	i.Bytes += st.Bytes
}

package main

import (
	"log/slog"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/tracker"
)

// server is DHT nodes with the tracker and the items on them.
type server struct {
	dht     *kademlia.DHT
	tracker *tracker.Tracker
	items   *store.Items
}

// capacity bounds what a server keeps for others. Zero means the defaults.
type capacity struct {
	peersBytes  int64
	peersHashes int
	itemsBytes  int64
}

// keepNothing is the capacity of a temporary node.
func keepNothing() capacity { return capacity{1, 1, 1} }

// newServer binds the addresses of a server that has yet to be started.
func newServer(cfg kademlia.Config, c capacity, log *slog.Logger) (*server, error) {
	cfg.Log = log
	d, err := kademlia.New(cfg)
	if err != nil {
		return nil, err
	}
	swarms := tracker.SwarmsConfig{MaxBytes: c.peersBytes, MaxHashes: c.peersHashes}
	return &server{
		dht:     d,
		tracker: tracker.New(d.Nodes(), tracker.Config{Swarms: swarms, Log: log}),
		items:   store.New(d.Nodes(), store.Config{MaxBytes: c.itemsBytes, Log: log}),
	}, nil
}

func (s *server) start() {
	s.dht.Start()
	s.tracker.Start()
	s.items.Start()
}

// close saves the state and returns when all goroutines have ended.
func (s *server) close() error {
	s.items.Close()
	s.tracker.Close()
	return s.dht.Close()
}

// addrs returns the addresses of the nodes, for a log.
func (s *server) addrs() []string {
	var out []string
	for _, n := range s.dht.Nodes() {
		out = append(out, n.LocalAddr().String())
	}
	return out
}

// ids returns the ids of the nodes, for a log.
func (s *server) ids() []string {
	var out []string
	for _, n := range s.dht.Nodes() {
		out = append(out, n.ID().String())
	}
	return out
}

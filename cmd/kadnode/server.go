package main

import (
	"log/slog"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/tracker"
)

// server is DHT nodes with the tracker on them.
type server struct {
	dht     *kademlia.DHT
	tracker *tracker.Tracker
}

// newServer binds the addresses of a server that has yet to be started.
func newServer(cfg kademlia.Config, swarms tracker.SwarmsConfig, log *slog.Logger) (*server, error) {
	cfg.Log = log
	d, err := kademlia.New(cfg)
	if err != nil {
		return nil, err
	}
	return &server{d, tracker.New(d.Nodes(), tracker.Config{Swarms: swarms, Log: log})}, nil
}

func (s *server) start() {
	s.dht.Start()
	s.tracker.Start()
}

// close saves the state and returns when all goroutines have ended.
func (s *server) close() error {
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

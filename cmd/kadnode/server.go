package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/tracker"
)

// server is DHT nodes with the tracker and the items on them.
type server struct {
	dht     *kademlia.DHT
	tracker *tracker.Tracker
	items   *store.Items
	journal *journal.Log // what outlasts the process; nil: nothing
	lock    *os.File     // of the data directory, while it is ours

	endJournal context.CancelFunc
	journalEnd chan struct{} // closed when it has
}

// capacity bounds what a server keeps for others. Zero means the defaults.
type capacity struct {
	peersBytes  int64
	peersHashes int
	itemsBytes  int64
}

// keepNothing is the capacity of a temporary node.
func keepNothing() capacity { return capacity{1, 1, 1} }

// newServer binds the addresses of a server that has yet to be started. Its close closes the
// journal, which may be nil.
func newServer(cfg kademlia.Config, c capacity, j *journal.Log, log *slog.Logger) (*server, error) {
	cfg.Log = log
	if j != nil {
		cfg.Commit = j.Commit
	}
	d, err := kademlia.New(cfg)
	if err != nil {
		return nil, err
	}
	swarms := tracker.SwarmsConfig{MaxBytes: c.peersBytes, MaxHashes: c.peersHashes}
	return &server{
		dht:     d,
		tracker: tracker.New(d.Nodes(), tracker.Config{Swarms: swarms, Journal: j, Log: log}),
		items:   store.New(d.Nodes(), store.Config{MaxBytes: c.itemsBytes, Journal: j, Log: log}),
		journal: j,
	}, nil
}

// start serves. If there is a journal it has been started.
func (s *server) start() {
	if s.journal != nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.endJournal, s.journalEnd = cancel, make(chan struct{})
		go func() {
			defer close(s.journalEnd)
			s.journal.Run(ctx)
		}()
	}
	s.dht.Start()
	s.tracker.Start()
	s.items.Start()
}

// close saves the state and returns when all goroutines have ended.
func (s *server) close() error {
	s.items.Close()
	s.tracker.Close()
	err := s.dht.Close()
	if s.endJournal != nil {
		s.endJournal()
		<-s.journalEnd
	}
	err = errors.Join(err, s.journal.Close())
	s.lock.Close() // of no lock this does nothing
	return err
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

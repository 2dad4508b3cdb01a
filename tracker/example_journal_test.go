package tracker_test

import (
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/tracker"
)

// A node that has after a restart what it had before: the peers of others, and what it tracks.
func Example_journal() {
	if err := serve(context.Background(), "data"); err != nil {
		log.Fatal(err)
	}
}

// serve serves from the directory dir until ctx ends.
func serve(ctx context.Context, dir string) (err error) {
	logs := filepath.Join(dir, "journal")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return err
	}
	kept := journal.New(journal.Config{FS: journal.Dir(logs)})
	dht, err := kademlia.New(kademlia.Config{
		Bootstrap: kademlia.DefaultBootstrap,
		StateFile: filepath.Join(dir, "dht.state"),
		Commit:    kept.Commit, // before a reply leaves
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dht.Close(), kept.Close()) }()
	t := tracker.New(dht.Nodes(), tracker.Config{Journal: kept})
	if err := kept.Load(); err != nil {
		return err
	}
	if err := kept.Start(); err != nil {
		return err
	}
	dht.Start()
	t.Start()
	defer t.Close()
	kept.Run(ctx) // syncs each second, compacts, and mends what a failed disk has left out
	return nil
}

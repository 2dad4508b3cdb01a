package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/tracker/indexer"
)

// families are the address families, each with a DHT of its own.
var families = [...]string{"ipv4", "ipv6"}

// familyOf returns the index of the node's family in families.
func familyOf(n *kademlia.Node) int {
	if n.Is6() {
		return 1
	}
	return 0
}

// maxCheckpoints bounds the size of a checkpoint file that is read, in bytes.
const maxCheckpoints = 64 << 20

// checkpointFile is the file that says how far a sweep is. One without a name is kept in
// memory alone.
type checkpointFile struct {
	name        string
	checkpoints [len(families)]indexer.Checkpoint
}

// savedCheckpoints is the content of the file.
type savedCheckpoints struct {
	IPv4 []byte `bencode:"ipv4"`
	IPv6 []byte `bencode:"ipv6"`
}

// readCheckpoints reads the file with a name. None is as good as one of a sweep that has
// yet to begin.
func readCheckpoints(name string) (*checkpointFile, error) {
	c := &checkpointFile{name: name}
	if name == "" {
		return c, nil
	}
	f, err := openRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCheckpoints))
	if err != nil {
		return nil, err
	}
	if err := c.decode(b); err != nil {
		return nil, fmt.Errorf("%s is no checkpoint of a sweep: %w", name, err)
	}
	return c, nil
}

func (c *checkpointFile) decode(b []byte) error {
	var saved savedCheckpoints
	if err := bencode.Unmarshal(b, &saved); err != nil {
		return err
	}
	for i, part := range [...][]byte{saved.IPv4, saved.IPv6} {
		var err error
		if c.checkpoints[i], err = indexer.DecodeCheckpoint(part); err != nil {
			return err
		}
	}
	return nil
}

// write replaces the file, so that it is whole at any time.
func (c *checkpointFile) write() error {
	if c.name == "" {
		return nil
	}
	b, err := c.encode()
	if err != nil {
		return err
	}
	temporary := c.name + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, c.name)
}

func (c *checkpointFile) encode() ([]byte, error) {
	var saved savedCheckpoints
	for i, part := range [...]*[]byte{&saved.IPv4, &saved.IPv6} {
		var err error
		if *part, err = indexer.EncodeCheckpoint(c.checkpoints[i]); err != nil {
			return nil, err
		}
	}
	return bencode.Marshal(saved)
}

// remove removes the file.
func (c *checkpointFile) remove() error {
	if c.name == "" {
		return nil
	}
	err := os.Remove(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

package kademlia

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// restore reads the state file. One that makes no sense is renamed, so that its
// successor does not overwrite it.
func (d *DHT) restore() map[netip.AddrPort]NodeState {
	if d.cfg.StateFile == "" {
		return nil
	}
	b, err := os.ReadFile(d.cfg.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var states map[netip.AddrPort]NodeState
	if err == nil {
		if states, err = DecodeStates(b); err == nil {
			return states
		}
		err = errors.Join(err, os.Rename(d.cfg.StateFile, d.cfg.StateFile+".bad"))
	}
	d.log.Warn("cannot restore the state; starting afresh", "file", d.cfg.StateFile, "err", err)
	return nil
}

// SaveState writes the state file. It does nothing without one, or after Close.
func (d *DHT) SaveState() error {
	if d.cfg.StateFile == "" {
		return nil
	}
	states := make(map[netip.AddrPort]NodeState, len(d.nodes))
	for _, n := range d.nodes {
		states[n.LocalAddr()] = n.State()
	}
	b, err := EncodeStates(states)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	return writeFileAtomic(d.cfg.StateFile, b)
}

func (d *DHT) saveForever() {
	for {
		select {
		case <-time.After(saveInterval*3/4 + rand.N(saveInterval/2)):
			if err := d.SaveState(); err != nil {
				d.log.Error("cannot save the state", "err", err)
			}
		case <-d.ctx.Done():
			return
		}
	}
}

// writeFileAtomic replaces the file at path by one with content b. Whatever
// happens meanwhile, path is the old file or the new one, whole. The caller sees
// to it that nobody else writes path.
func writeFileAtomic(path string, b []byte) (err error) {
	// One name, so that whoever is killed here again and again leaves one file.
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("kademlia: save state: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("kademlia: save state: %w", err)
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a rename outlast a crash of the machine, where the file system
// can do so.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}

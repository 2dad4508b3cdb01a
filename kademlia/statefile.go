package kademlia

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	// saveInterval is how often the state is written, give or take a quarter: at most
	// tokenRotation, since what is saved holds the secret of one rotation to come.
	saveInterval = tokenRotation * 4 / 5
	// saveTimeout bounds how long Close and HandOver wait for the disk.
	saveTimeout = time.Second
)

var errSlow = fmt.Errorf("kademlia: save state: the disk takes longer than %v", saveTimeout)

// restore reads the state file. One that cannot be read is renamed, so that its
// successor does not overwrite it.
func (d *DHT) restore() (map[netip.AddrPort]NodeState, error) {
	if d.cfg.StateFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(d.cfg.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var states map[netip.AddrPort]NodeState
	if err == nil {
		if states, err = DecodeStates(b); err == nil {
			return states, nil
		}
	}
	if e := os.Rename(d.cfg.StateFile, d.cfg.StateFile+".bad"); e != nil {
		return nil, fmt.Errorf("kademlia: restore state: %w, and it cannot be set aside: %w", err, e)
	}
	d.log.Warn("cannot restore the state; starting afresh", "set_aside", d.cfg.StateFile+".bad", "err", err)
	return nil, nil
}

// startSaving starts keepSaved if there is a state file, unless d is closed.
func (d *DHT) startSaving() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cfg.StateFile != "" && !d.closed {
		d.saving = true
		d.saveSoon() // Who is killed before the first interval ends keeps his id and tokens.
		go d.keepSaved()
	}
}

// endSaving ends keepSaved, after one more write if last, and waits for it.
func (d *DHT) endSaving(last bool) error {
	d.mu.Lock()
	saving := d.saving
	d.saving = false
	d.mu.Unlock()
	if !saving {
		return nil
	}
	d.lastSave <- last
	select {
	case <-d.saved:
		return d.saveErr
	case <-time.After(saveTimeout):
		return errSlow
	}
}

// keepSaved writes the state file at once, when a node has joined, now and then, and at
// the end. It alone writes it, and nobody waits for the disk but endSaving, for a moment.
func (d *DHT) keepSaved() {
	defer close(d.saved)
	rng := secureRand()
	for {
		select {
		case done := <-d.saveNow:
			done <- d.saveState()
			continue
		case <-d.save:
		case <-time.After(saveInterval*3/4 + time.Duration(rng.Int64N(int64(saveInterval/2)))):
		case last := <-d.lastSave:
			if last {
				d.saveErr = d.saveState()
			}
			return
		}
		if err := d.saveState(); err != nil {
			d.log.Error("cannot save the state", "err", err)
		}
	}
}

// SaveState writes the state file, for a successor to read. It waits no longer than a second
// for the disk.
func (d *DHT) SaveState() error {
	d.mu.Lock()
	saving := d.saving
	d.mu.Unlock()
	if !saving {
		return nil
	}
	late, done := time.After(saveTimeout), make(chan error, 1)
	select {
	case d.saveNow <- done:
	case <-late:
		return errSlow
	}
	select {
	case err := <-done:
		return err
	case <-late:
		return errSlow
	}
}

// saveSoon asks for the state to be written.
func (d *DHT) saveSoon() {
	select {
	case d.save <- struct{}{}:
	default: // It will be.
	}
}

// saveState writes the state file: our nodes, and what an earlier run knew of
// addresses that are not listened on today.
func (d *DHT) saveState() error {
	states := make(map[netip.AddrPort]NodeState, len(d.nodes))
	for listen, s := range d.restored {
		if len(states) < maxStates {
			states[listen] = s
		}
	}
	for _, n := range d.nodes {
		states[n.LocalAddr()] = n.State()
	}
	b, err := EncodeStates(states)
	if err != nil {
		return err
	}
	return writeFileAtomic(d.cfg.StateFile, b)
}

// writeFileAtomic replaces the file at path by one with content b. Whatever
// happens meanwhile, path is the old file or the new one, whole. The caller sees
// to it that nobody else writes path.
func writeFileAtomic(path string, b []byte) (err error) {
	// One name, so that whoever is killed here again and again leaves one file, and
	// for our eyes only.
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

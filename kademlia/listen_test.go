package kademlia

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// saver makes a DHT without nodes that saves its state at path.
func saver(t *testing.T, path string) *DHT {
	d := &DHT{cfg: Config{StateFile: path}, log: slog.New(slog.DiscardHandler)}
	d.save, d.lastSave, d.saved = make(chan struct{}, 1), make(chan bool, 1), make(chan struct{})
	d.ctx, d.cancel = context.WithCancel(t.Context())
	return d
}

// wasSaved tells whether there is a state file, and removes it.
func wasSaved(t *testing.T, path string) bool {
	t.Helper()
	synctest.Wait()
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// The state is saved at once, within each rotation of the tokens, and last of all.
func TestStateIsSavedInTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.state")
	synctest.Test(t, func(t *testing.T) {
		d := saver(t, path)
		d.startSaving()
		if !wasSaved(t, path) {
			t.Error("not saved at the start")
		}
		for range 20 {
			time.Sleep(tokenRotation)
			if !wasSaved(t, path) {
				t.Fatal("not saved for the time of a rotation")
			}
		}
		if err := d.Close(); err != nil || !wasSaved(t, path) {
			t.Errorf("not saved by Close: %v", err)
		}
	})
}

// After a handover the state file is the successor's.
func TestStateFileIsHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.state")
	synctest.Test(t, func(t *testing.T) {
		d := saver(t, path)
		d.startSaving()
		wasSaved(t, path)
		if err := d.HandOver(); err != nil {
			t.Error(err)
		}
		d.saveSoon()
		time.Sleep(time.Hour)
		if err := errors.Join(d.HandOver(), d.Close()); err != nil {
			t.Error(err)
		}
		if wasSaved(t, path) {
			t.Error("written although it was handed over")
		}
	})
}

// A disk that hangs holds up a handover no longer than a second.
func TestHandOverDoesNotWaitForAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := saver(t, "x")
		d.saving = true // and keepSaved is stuck
		began := time.Now()
		if err := d.HandOver(); err == nil || time.Since(began) > saveTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := d.Close(); err != nil || time.Since(began) > saveTimeout {
			t.Errorf("closed with %v after %v", err, time.Since(began))
		}
	})
}

// bound is a socket as far as its address goes.
type bound struct{ addr netip.AddrPort }

func (b bound) LocalAddr() netip.AddrPort { return b.addr }

func TestInheritedSocketsAreFoundByAddress(t *testing.T) {
	var sockets []bound
	for _, a := range []string{"0.0.0.0:6881", "[::]:6881", "11.0.0.1:7000", "[fe80::1%eth0]:6881"} {
		sockets = append(sockets, bound{netip.MustParseAddrPort(a)})
	}
	all := slices.Clone(sockets)
	for _, tt := range []struct {
		listen string
		want   int
	}{
		{"0.0.0.0:6881", 0},
		{"[::ffff:11.0.0.1]:7000", 2},
		{"[fe80::1%eth0]:6881", 3},
		{"[fe80::1%eth1]:6881", -1},
		{"0.0.0.0:0", -1},
		{"11.0.0.1:6881", -1},
		{"127.0.0.1:6881", -1},
	} {
		s, rest, ok := take(sockets, netip.MustParseAddrPort(tt.listen))
		switch {
		case ok != (tt.want >= 0):
			t.Errorf("%s: found %t", tt.listen, ok)
		case ok && (s != all[tt.want] || len(rest) != len(all)-1 || slices.Contains(rest, s)):
			t.Errorf("%s is %v, beside %v", tt.listen, s, rest)
		case !slices.Equal(sockets, all):
			t.Errorf("%s: the sockets became %v", tt.listen, sockets)
		}
	}
}

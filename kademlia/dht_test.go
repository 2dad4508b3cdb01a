package kademlia

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookup := func(ctx context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "quick":
				return []netip.Addr{netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("2a00::1")}, nil
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, errors.New("no such host")
		}
		for _, tt := range []struct {
			hosts  string
			want   string
			fails  bool
			within time.Duration
		}{
			{"quick:1", "[11.0.0.1:1 [2a00::1]:1]", false, 0},
			{"127.0.0.1:6881,[::ffff:11.0.0.9]:2", "[11.0.0.9:2 127.0.0.1:6881]", false, 0},
			{"slow:1,quick:2,none:3", "[11.0.0.1:2 [2a00::1]:2]", false, resolveGrace},
			{"none:1", "[]", true, 0},
			{"slow:1", "[]", true, resolveTimeout},
			{"quick:1,nonsense", "[]", true, resolveGrace},
			{"quick:0", "[]", true, 0},
		} {
			began := time.Now()
			addrs, err := Resolve(t.Context(), strings.Split(tt.hosts, ","), lookup)
			slices.SortFunc(addrs, netip.AddrPort.Compare)
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			if s := "[" + strings.Join(got, " ") + "]"; s != tt.want || (err != nil) != tt.fails {
				t.Errorf("%s: %s, %v", tt.hosts, s, err)
			}
			if took := time.Since(began); took > tt.within {
				t.Errorf("%s took %v, want at most %v", tt.hosts, took, tt.within)
			}
		}
	})
}

// Whatever a crash leaves beside it, the state file is the old one or the new one.
func TestStateFileIsReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.state")
	for _, content := range []string{"first", "second, longer", "3"} {
		if err := os.WriteFile(path+".tmp", []byte("left by somebody who was killed"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writeFileAtomic(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files left", len(files))
	}
	if err := writeFileAtomic(filepath.Join(path, "no directory"), nil); err == nil {
		t.Error("no error for a path that cannot be written")
	}
}

func TestUnreadableStateIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.state")
	if err := os.WriteFile(path, []byte("d5:nodes"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &DHT{cfg: Config{StateFile: path}, log: slog.New(slog.DiscardHandler)}
	if states, err := d.restore(); err != nil || len(states) != 0 {
		t.Errorf("restored %v, %v", states, err)
	}
	if b, err := os.ReadFile(path + ".bad"); err != nil || string(b) != "d5:nodes" {
		t.Errorf("set aside: %q, %v", b, err)
	}
	if err := d.saveState(); err != nil {
		t.Fatal(err)
	}
	if states, err := d.restore(); err != nil || states == nil {
		t.Error("what was saved next cannot be restored")
	}
	// A directory can be read as a file no more than it can take the place of one.
	d.cfg.StateFile = filepath.Join(filepath.Dir(path), "directory")
	for _, dir := range []string{d.cfg.StateFile, d.cfg.StateFile + ".bad/full"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.restore(); err == nil {
		t.Error("starts with a state file that it would overwrite unread")
	}
}

// The ids of addresses that are not listened on today are not lost.
func TestStateOfOtherAddressesIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.state")
	other := netip.MustParseAddrPort("11.0.0.1:6881")
	d := &DHT{
		cfg:      Config{StateFile: path},
		restored: map[netip.AddrPort]NodeState{other: {IDs: []AddrID{{ID: krpc.ID{5}}}}},
	}
	if err := d.saveState(); err != nil {
		t.Fatal(err)
	}
	states, err := d.restore()
	if err != nil || len(states[other].IDs) != 1 || states[other].IDs[0].ID != (krpc.ID{5}) {
		t.Errorf("%v, %v", states, err)
	}
}

// A disk that hangs holds up nobody for long.
func TestCloseDoesNotWaitForAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := saver(t, "x")
		d.saving = true // and keepSaved is stuck
		began := time.Now()
		d.saveSoon()
		d.saveSoon()
		if err := d.Close(); err == nil || time.Since(began) > saveTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

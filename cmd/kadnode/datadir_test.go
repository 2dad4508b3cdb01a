package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// temporary returns a temporary node on a data directory, as "announce --keep" has it.
func temporary(t *testing.T, dir string) *server {
	t.Helper()
	cfg := kademlia.Config{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}
	srv, err := openServer(cfg, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// A start says in one line what it has found, if there was anything.
func TestRestoredIsLogged(t *testing.T) {
	w, log, args := stored(t)
	dir := filepath.Dir(filepath.Dir(log))
	it, err := store.Immutable([]byte("5:hello"))
	if err != nil {
		t.Fatal(err)
	}
	srv := temporary(t, dir)
	err = errors.Join(srv.tracker.Track(krpc.ID{1}, tracker.AnnounceOptions{Port: 1}),
		srv.tracker.Track(krpc.ID{2}, tracker.AnnounceOptions{Port: 1}), srv.items.Keep(it, store.KeepOptions{}), srv.close())
	if err != nil {
		t.Fatal(err)
	}
	p, _ := startNode(t, args...)
	var line struct {
		Swarms, Peers, Items, Tracked, Kept int
		Took                                time.Duration
	}
	if err := json.Unmarshal([]byte(p.line(`"restored"`)), &line); err != nil {
		t.Fatal(err)
	}
	if line.Swarms == 0 || line.Peers < line.Swarms || line.Items == 0 || line.Tracked != 2 || line.Kept != 1 || line.Took <= 0 {
		t.Errorf("%+v", line)
	}
	if looked, lost := w.look(t, 0); len(lost) > 0 {
		t.Errorf("%d of %d lost", len(lost), looked)
	}
	p, _ = startNode(t, "--bootstrap", "none", "--data-dir", t.TempDir())
	if n := p.count("restored"); n > 0 {
		t.Error("nothing was restored, and there is a line")
	}
}

// A temporary node does not know all that the files have: it adds to them, and replaces none,
// however much there is.
func TestATemporaryNodeTakesNoSnapshots(t *testing.T) {
	dir := t.TempDir()
	journalFiles := filepath.Join(dir, journalDir)
	for n := range 18 { // more logs than Run leaves without a snapshot
		srv := temporary(t, dir)
		if err := srv.tracker.Track(krpc.ID{byte(n)}, tracker.AnnounceOptions{Port: 1}); err != nil {
			t.Fatal(err)
		}
		if err := srv.close(); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, journalFiles)
	srv := temporary(t, dir)
	srv.start()
	if err := srv.journal.Compact(); err != nil || srv.journal.Stats().Snapshots != 0 {
		t.Errorf("%d snapshots, error %v", srv.journal.Stats().Snapshots, err)
	}
	if err := srv.close(); err != nil {
		t.Fatal(err)
	}
	after := contents(t, journalFiles)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s has changed, or gone", name)
		}
	}
	for range 5 {
		kadnode(t, "kept", "--data-dir", dir).expect(t, exitDone, "port 1\n")
	}
	if n := len(contents(t, journalFiles)); n != len(before)+1 {
		t.Errorf("%d files after some looks, %d before", n, len(before))
	}
}

// KADNODE_DATA_DIR is for the node, and for who looks at what that keeps. Commands that start a
// temporary node beside it leave the directory alone.
func TestDataDirOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KADNODE_DATA_DIR", dir)
	p, s := startNode(t, "--bootstrap", "none", "--listen", "127.0.0.1:0")
	kadnode(t, "kept").expect(t, exitFailed, dir+" is in use by another process")
	kadnode(t, "announce", "--keep", "--data-dir", dir, "--port", "1", "--bootstrap", s.Listen[0], someHash).
		expect(t, exitFailed, "in use by another process")
	before := contents(t, filepath.Join(dir, journalDir))
	if len(before) != 1 {
		t.Errorf("%d files", len(before))
	}
	kadnode(t, "get", "--bootstrap", s.Listen[0], someHash).expect(t, exitFailed, "no item found")
	if !maps.Equal(contents(t, filepath.Join(dir, journalDir)), before) {
		t.Error("the journal has changed")
	}
	p.kill()
	kadnode(t, "kept").expect(t, exitDone, "")
}

// The journal may be on another disk, behind a link; one that leads nowhere is an error.
func TestTheJournalIsBehindALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	link := filepath.Join(dir, journalDir)
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip(err) // who may make one differs on Windows
	}
	srv := temporary(t, dir)
	err := errors.Join(srv.tracker.Track(krpc.ID{1}, tracker.AnnounceOptions{Port: 1}), srv.close())
	if err != nil || len(contents(t, elsewhere)) != 1 {
		t.Fatalf("error %v, files %v", err, contents(t, elsewhere))
	}
	kadnode(t, "kept", "--data-dir", dir).expect(t, exitDone, "announce 01")

	if err := os.RemoveAll(elsewhere); err != nil {
		t.Fatal(err)
	}
	r := kadnode(t, "--bootstrap", "none", "--listen", "127.0.0.1:0", "--http", "none", "--data-dir", dir)
	if r.status != exitFailed || !strings.Contains(r.stderr, "data directory: ") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
}

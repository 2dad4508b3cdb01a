package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFails has the disk of a node fill up and turn read-only while it is asked. It serves on,
// says so, and once there is room again all is kept: also what it acknowledged meanwhile.
func TestDiskFails(t *testing.T) {
	const (
		recovery = 15 * time.Second
		maxGrown = 32 << 20 // bytes of memory, with 60 000 peers more
	)
	dir := smallDisk(t)
	logs := bindMount(t, filepath.Join(dir, journalDir))
	listen := closedPort(t)
	args := []string{"--bootstrap", "none", "--data-dir", dir, "--listen", listen, "--rate-limit", "0"}
	p, s := startNode(t, args...)
	failing := func() bool { return s.metric(t, "kadnode_journal_failing") == 1 }
	w := newWitness(t, netip.MustParseAddrPort(listen), 1, 1)
	w.store(t, 1000)
	if failing() {
		t.Fatal("fails at once")
	}
	before, _ := residentMemory(p.cmd.Process.Pid)

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	storeUntil(t, w, 1000, patience, failing)
	if status, page := s.get(t, "/readyz"); status != 200 || !strings.Contains(page, "the disk fails") {
		t.Errorf("readyz: %d %s", status, page)
	}
	w.store(t, 5000)

	readOnly(t, logs, true)
	os.Remove(filler)
	w.store(t, 5000)
	time.Sleep(3 * time.Second) // for it to try again
	if !failing() {
		t.Error("works on a file system that is read-only")
	}
	w.store(t, 1000)
	if looked, lost := w.look(t, 0); len(lost) > 0 {
		t.Errorf("%d of %d lost from memory", len(lost), looked)
	}
	if now, _ := residentMemory(p.cmd.Process.Pid); now > before+maxGrown {
		t.Errorf("%d bytes of memory, %d before", now, before)
	}
	p.line(`"level":"ERROR"`) // and no other
	if n := p.count(`"level":"ERROR"`); n != 0 {
		t.Errorf("%d more errors", n)
	}
	p.signal(syscall.SIGUSR2) // a successor would know nothing of what is only in memory
	if l := p.line("no successor; serving on"); !strings.Contains(l, "journal") {
		t.Error(l)
	}
	w.store(t, 1000)

	readOnly(t, logs, false)
	took := storeUntil(t, w, 10, recovery, func() bool { return !failing() })
	t.Logf("whole again after %v", took.Round(time.Millisecond))
	p.line("the disk works again")
	w.store(t, 1000)
	if n := p.count("the disk"); n != 0 {
		t.Errorf("%d more lines about the disk", n)
	}
	p.kill()
	p, _ = startNode(t, args...)
	wantNothingLost(t, w)
	p.kill()
}

// storeUntil stores n things at a time until done, which may take so long, and returns how long
// it took.
func storeUntil(t *testing.T, w *witness, n int, limit time.Duration, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if w.store(t, n); time.Since(began) > limit {
			t.Fatalf("not after %v", limit)
		}
	}
	return time.Since(began)
}

// wantNothingLost asks the node that has just been started again for what it has acknowledged.
func wantNothingLost(t *testing.T, w *witness) {
	t.Helper()
	looked, lost := w.look(t, 0)
	t.Logf("%d acknowledged, %d looked for", w.acknowledged, looked)
	if len(lost) > 0 {
		t.Errorf("%d of %d lost: %s", len(lost), looked, lost[0])
	}
}

// A node that starts while its disk is full has nothing to lose, and serves.
func TestStartsOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	listen := closedPort(t)
	args := []string{"--bootstrap", "none", "--data-dir", dir, "--listen", listen, "--rate-limit", "0"}
	p, _ := startNode(t, args...)
	w := newWitness(t, netip.MustParseAddrPort(listen), 1, 1)
	w.store(t, 1000)
	p.kill()
	fill(t, filepath.Join(dir, "filler"))
	p, s := startNode(t, args...)
	if looked, lost := w.look(t, 0); len(lost) > 0 || looked == 0 {
		t.Errorf("%d of %d lost", len(lost), looked)
	}
	w.store(t, 1000)
	if n := p.count("cannot save the state"); n > 1 {
		t.Errorf("%d lines about the state file", n)
	}
	if s.metric(t, "kadnode_journal_failing") != 1 {
		t.Error("no word of the disk")
	}
	p.signal(syscall.SIGTERM)
	p.exits(patience)
	if n := p.count(`"level":"ERROR"`); n > 3 {
		t.Errorf("%d errors", n)
	}
}

// smallDisk mounts a file system of 8 MiB for the time of a test.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=8m")
	return dir
}

// bindMount makes a directory that is a mount of its own, so that it can be read-only by itself:
// its parent has the lock file, which is open to be written.
func bindMount(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, dir, dir, "", syscall.MS_BIND, "")
	return dir
}

// mount mounts for the time of a test, which is skipped by who may not.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	switch err := syscall.Mount(source, target, kind, flags, data); {
	case err == nil:
		t.Cleanup(func() {
			if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	case os.Getenv("CI") != "":
		t.Fatalf("mount: %v", err)
	default:
		t.Skipf("NOT TESTED: only who may mount file systems can have a disk fail: %v", err)
	}
}

// readOnly remounts a bind mount. While a file is open to be written, the kernel refuses.
func readOnly(t *testing.T, dir string, on bool) {
	t.Helper()
	flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND)
	if on {
		flags |= syscall.MS_RDONLY
	}
	await(t, "remount", func() bool { return syscall.Mount("", dir, "", flags, "") == nil })
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(b)
	}
}

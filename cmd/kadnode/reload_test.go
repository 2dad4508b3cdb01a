//go:build unix

package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestSIGHUP(t *testing.T) {
	dir := t.TempDir()
	list, config := filepath.Join(dir, "list.txt"), filepath.Join(dir, "kadnode.toml")
	writeFile(t, list, "192.0.2.0/24\n")
	base := "bootstrap = 'none'\nblocklist = ['" + list + "']\n"
	writeFile(t, config, base)
	p, s := startNode(t, "--config", config)
	ranges := func(want float64) {
		t.Helper()
		if got := s.metric(t, "kadnode_blocklist_ranges"); got != want {
			t.Errorf("%v ranges on the blocklist, want %v", got, want)
		}
	}
	ranges(1)

	writeFile(t, list, "192.0.2.0/24\n198.51.100.0/24\n")
	writeFile(t, config, base+"log-level = 'warn'\nrate-limit = 0\nalpha = 5\n")
	p.signal(syscall.SIGHUP)
	p.line(`"key":"alpha","running":"3","new":"5"`)
	if cells := s.metric(t, "kadnode_limiter_cells"); cells != 0 {
		t.Errorf("a rate limit of %v cells after it was opened", cells)
	}
	ranges(2)

	for _, bad := range []struct{ list, config, says string }{
		{"192.0.2.0/24\nnonsense\n", base, "line 2"},
		{"203.0.113.0/24\n", base + "rate-limits = 5\n", "rate-limits"},
		{"203.0.113.0/24\n", base + "log-level = 'loud'\n", "loud"},
	} {
		writeFile(t, list, bad.list)
		writeFile(t, config, bad.config)
		p.signal(syscall.SIGHUP)
		p.line(bad.says)
		ranges(2)
	}

	// Back at info, which is logged at info itself.
	writeFile(t, list, "")
	writeFile(t, config, base)
	p.signal(syscall.SIGHUP)
	p.line("configuration read again")
	ranges(0)
}

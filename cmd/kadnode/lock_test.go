//go:build (unix && !aix && !solaris) || illumos

package main

import (
	"syscall"
	"testing"
	"time"
)

func TestOneProcessToADataDir(t *testing.T) {
	dir := t.TempDir()
	p, _ := startNode(t, "--bootstrap", "none", "--data-dir", dir)
	second := []string{"--bootstrap", "none", "--data-dir", dir, "--listen", "127.0.0.1:0", "--http", "none"}
	kadnode(t, second...).expect(t, exitFailed, "data directory: "+dir+" is in use by another process")

	p.kill()
	p, _ = startNode(t, second...) // who was killed holds nothing
	p.signal(syscall.SIGTERM)
	p.exits(2 * time.Second)
	startNode(t, second...)
}

package main

import (
	"strings"
	"testing"
)

const someHash = "0123456789abcdef0123456789abcdef01234567"

// What a command keeps up is noted in a data directory, and any node on it goes on.
func TestWhatIsKeptIsKeptByTheNodeOfTheDataDirectory(t *testing.T) {
	dir, net := t.TempDir(), startTestnet(t, "--nodes", "12")
	put := launch(t, "put", "--keep", "--data-dir", dir, "--bootstrap", net, "hello")
	target, _, _ := strings.Cut(put.line(), " ")
	kadnode(t, "kept", "--data-dir", dir).expect(t, exitFailed, "in use")
	put.stop()
	announce := launch(t, "announce", "--keep", "--data-dir", dir, "--bootstrap", net, "--port", "5555", "--seed", someHash)
	announce.line()
	announce.stop()
	kadnode(t, "kept", "--data-dir", dir).expect(t, exitDone, "announce "+someHash+" port 5555 seed\nitem "+target+" immutable\n")

	p, node := startNode(t, "--data-dir", dir, "--bootstrap", net)
	if items, hashes := node.metric(t, "kadnode_published_items"), node.metric(t, "kadnode_tracked_hashes"); items != 1 || hashes != 1 {
		t.Errorf("%.0f items and %.0f info-hashes are kept", items, hashes)
	}
	p.kill()

	kadnode(t, "kept", "--data-dir", dir, "--forget", target).expect(t, exitDone, "announce "+someHash)
	kadnode(t, "kept", "--data-dir", dir, "--forget", target).expect(t, exitFailed, "neither announced nor put")
	r := kadnode(t, "kept", "--data-dir", dir, "--json")
	r.expect(t, exitDone, `{"hash":"`+someHash+`","port":5555,"seed":true}`)
	if strings.Contains(r.stdout, target) {
		t.Errorf("still kept: %s", r.stdout)
	}
}

func TestKeptUsage(t *testing.T) {
	kadnode(t, "kept").expect(t, exitUsage, "--data-dir is required")
	kadnode(t, "kept", "--data-dir", t.TempDir(), "--forget", "ab").expect(t, exitUsage, "40 hexadecimal")
	kadnode(t, "put", "--data-dir", t.TempDir(), "x").expect(t, exitUsage, "--data-dir wants --keep")
	kadnode(t, "announce", "--data-dir", t.TempDir(), "--port", "1", someHash).expect(t, exitUsage, "--data-dir wants --keep")
}

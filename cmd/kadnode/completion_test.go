package main

import (
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"run --log-level ":      "debug\ninfo\nwarn\nerror\n",
		"get --log-format ":     "text\njson\n",
		"testnet --log-level ":  "debug\n",
		"--data":                "--data-dir\tdirectory for what is kept over a restart",
		"put --tor":             "--torrent\tpublish the torrent of this .torrent file (BEP 46)\n",
		"completion ":           "bash\t",
		"bench --kind ":         "all\nping\n",
		"announce hash --impli": "--implied-port\t",
	} {
		r := kadnode(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if !strings.HasPrefix(r.stdout, want) || strings.Contains(r.stdout, "`") {
			t.Errorf("%s: %q", args, r.stdout)
		}
	}
	if r := kadnode(t, "completion"); r.status != exitDone || !strings.Contains(r.stdout, "bash") {
		t.Errorf("status %d: %s", r.status, r.stdout)
	}
	if r := kadnode(t, "run", "--help"); !strings.Contains(r.stdout, "--data-dir directory ") {
		t.Errorf("the help has lost the names of values: %s", r.stdout)
	}
}

package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/krpc"
)

// parse returns the options for a command line and the environment and file there are.
func parse(t *testing.T, args ...string) (*runOptions, *pflag.FlagSet, error) {
	t.Helper()
	o := new(runOptions)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.addFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o, fs, o.fill(fs)
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kadnode.toml")
	writeFile(t, file, `
k = 10
alpha = 4
rate-limit = 2.5
read-only = true
peers-bytes = "1GiB"
bootstrap = ["192.0.2.1:1", "192.0.2.2:2"]
listen = "127.0.0.1:1"
`)
	t.Setenv("KADNODE_CONFIG", file)
	t.Setenv("KADNODE_ALPHA", "5")
	t.Setenv("KADNODE_K", "11")
	t.Setenv("KADNODE_LISTEN", "127.0.0.1:2,127.0.0.1:3")
	t.Setenv("KADNODE_DATA_DIR", "") // as good as none
	o, _, err := parse(t, "--k", "12", "--send-rate", "7")
	if err != nil {
		t.Fatal(err)
	}
	want, _, _ := parse(t, "--config", file)
	want.k, want.sendRate = 12, 7                           // flags
	want.alpha = 5                                          // environment
	want.listen = []string{"127.0.0.1:2", "127.0.0.1:3"}    // environment
	want.bootstrap = []string{"192.0.2.1:1", "192.0.2.2:2"} // file
	want.rateLimit, want.readOnly = 2.5, true               // file
	want.peersBytes, want.http = 1<<30, defaultHTTP         // file, default
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
}

func TestBadConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kadnode.toml")
	for content, says := range map[string]string{
		"bogus = 1":                 `unknown key "bogus"`,
		"config = 'other.toml'":     `unknown key "config"`,
		"help = true":               `unknown key "help"`,
		"[http]\naddr = 'x'":        "http: want",
		"k = 1\nk = 2":              "line 2",
		"k = 99":                    "from 1 to ",
		"k = [1, 2]":                "k: want one value",
		"k = []":                    "k: want one value",
		"listen = []":               "listen: want at least one",
		"listen = [[':1']]":         "listen: want a list of strings, not of lists",
		"blocklist = [[]]":          "blocklist: want a list of strings, not of lists",
		"blocklist = ['a', 'none']": "goes with nothing else",
		"bootstrap = ['a:1', 2]":    "want HOST:PORT",
		"read-only = 'perhaps'":     "perhaps",
		"rate-limit = 1979-05-27":   "rate-limit: want",
		"log-level = 'info'\nnot ":  "line 2",
	} {
		writeFile(t, file, content)
		if _, _, err := parse(t, "--config", file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", content, err, says)
		}
	}
	t.Setenv("KADNODE_READERS", "many")
	if _, _, err := parse(t); err == nil || !strings.Contains(err.Error(), "KADNODE_READERS") {
		t.Errorf("environment: %v", err)
	}
}

func TestEmptyListsMeanNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kadnode.toml")
	writeFile(t, file, "bootstrap = []\nblocklist = []\n")
	o, _, err := parse(t, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.dhtConfig().Bootstrap; len(got) > 0 {
		t.Errorf("bootstrap %q", got)
	}
	var blocked krpc.Blocklist
	if err := loadBlocklist(&blocked, o.blocklist); err != nil || blocked.Len() != 0 {
		t.Errorf("blocklist of %d ranges: %v", blocked.Len(), err)
	}
	o, _, err = parse(t, "--config", file, "--bootstrap", "192.0.2.1:1", "--blocklist", "x")
	if err != nil || len(o.bootstrap) != 1 || o.bootstrap[0] != "192.0.2.1:1" || o.blocklist[0] != "x" {
		t.Errorf("flags do not beat empty lists: %q, %q, %v", o.bootstrap, o.blocklist, err)
	}
}

func TestListenAddresses(t *testing.T) {
	for addr, ok := range map[string]bool{
		":1": true, "0.0.0.0:1": true, "[::]:1": true, "127.0.0.1:0": true, "192.0.2.1:1": true, "[fe80::1%eth0]:1": true,
		"224.0.0.1:1": false, "239.1.2.3:1": false, "[ff02::1]:1": false, "[::ffff:224.0.0.1]:1": false,
		"255.255.255.255:1": false, "0.0.0.1:1": false, "0.1.2.3:1": false, "[::ffff:0.0.0.1]:1": false,
	} {
		if err := checkListen(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// What a flag prints it also takes, so that a command line can be replayed.
func TestFlagsRoundTrip(t *testing.T) {
	_, fs, err := parse(t, "--listen", ":1", "--listen", "[::1]:2,127.0.0.1:3", "--bootstrap", "none",
		"--peers-bytes", "1536KiB", "--items-bytes", "3MiB", "--rate-limit", "0", "--http", ":0", "--read-only", "--blocklist", "a,b")
	if err != nil {
		t.Fatal(err)
	}
	_, again, err := reread(changed(fs))
	if err != nil {
		t.Fatal(err)
	}
	fs.VisitAll(func(f *pflag.Flag) {
		if got := again.Lookup(f.Name).Value.String(); got != f.Value.String() {
			t.Errorf("%s: %q, want %q", f.Name, got, f.Value)
		}
	})
}

func TestAmountsOfMemory(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1, "12B": 12, "3KiB": 3 << 10, "256MiB": 256 << 20, "2GiB": 2 << 30,
		"": 0, "0": 0, "-1": 0, "1MB": 0, "MiB": 0, "1.5GiB": 0, "99999999999GiB": 0,
	} {
		var got int64
		err := (&bytesValue{&got}).Set(s)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestHealthcheckAddress(t *testing.T) {
	for served, asked := range map[string]string{
		"127.0.0.1:9681": "127.0.0.1:9681",
		":9681":          "127.0.0.1:9681",
		"0.0.0.0:9681":   "127.0.0.1:9681",
		"[::]:9681":      "[::1]:9681",
		"localhost:9681": "localhost:9681",
	} {
		if got := localAddr(served); got != asked {
			t.Errorf("%s: %s, want %s", served, got, asked)
		}
	}
}

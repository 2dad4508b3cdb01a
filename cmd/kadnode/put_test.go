package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// network is a testnet, with commands that join through it.
type network struct{ bootstrap string }

func newNetwork(t *testing.T, args ...string) network {
	t.Helper()
	return network{startTestnet(t, append([]string{"--nodes", "16"}, args...)...)}
}

func (n network) args(args ...string) []string { return append(args, "--bootstrap", n.bootstrap) }

func (n network) run(t *testing.T, args ...string) result {
	t.Helper()
	return kadnode(t, n.args(args...)...)
}

// item is the JSON of put and get.
type item struct {
	Target, Kind, Magnet, Sig, Text, InfoHash string

	Seq     *int64
	Key     string `json:"public_key"`
	Salt    string `json:"salt_hex"`
	Value   string `json:"value_hex"`
	Left    int    `json:"left_seconds"`
	Stored  int
	Asked   int
	Holders int
}

func (n network) item(t *testing.T, args ...string) (it item) {
	t.Helper()
	r := n.run(t, append(args, "--json")...)
	r.expect(t, exitDone, "")
	if err := json.Unmarshal([]byte(r.stdout), &it); err != nil || strings.Count(r.stdout, "\n") != 1 {
		t.Fatalf("%s: %v", r.stdout, err)
	}
	return it
}

func TestPutAndGetImmutableItems(t *testing.T) {
	net := newNetwork(t)
	const target = "e5f96f6f38320f0f33959cb4d3d656452117aadb" // BEP 44's first vector
	net.run(t, "get", target).expect(t, exitFailed, "no item found")
	r := net.run(t, "put", "Hello World!")
	r.expect(t, exitDone, target+" immutable, stored at 8 of 8 nodes\n")
	if r.stderr != "" {
		t.Errorf("stderr: %s", r.stderr)
	}
	if r := net.run(t, "get", target); r.stdout != "Hello World!\n" {
		t.Errorf("get: %q", r.stdout)
	}
	if r := net.run(t, "get", target, "--raw"); r.stdout != "12:Hello World!" {
		t.Errorf("get --raw: %q", r.stdout)
	}
	it := net.item(t, "get", target)
	if it.Target != target || it.Kind != "immutable" || it.Seq != nil || it.Text != "Hello World!" ||
		it.Value != hex.EncodeToString([]byte("12:Hello World!")) || it.Left < 7000 || it.Left > 7200 || it.Holders < 1 {
		t.Errorf("%+v", it)
	}

	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte("d1:ali1ee3:foo3:bare"), 0o600); err != nil {
		t.Fatal(err)
	}
	it = net.item(t, "put", "--file", file, "--bencoded")
	net.run(t, "get", it.Target).expect(t, exitDone, `{"a":[1],"foo":"bar"}`+"\n")
	net.run(t, "get", it.Target, "--json").expect(t, exitDone, `,"json":{"a":[1],"foo":"bar"},`)
	stdin(t, open(t, file))
	it = net.item(t, "put", "--file", "-")
	if it.Stored != 8 || it.Asked != 8 {
		t.Errorf("%+v", it)
	}
	net.run(t, "get", it.Target).expect(t, exitDone, "d1:ali1ee3:foo3:bare\n")
	it = net.item(t, "put", "")
	net.run(t, "get", it.Target).expect(t, exitDone, "\n")
	net.run(t, "get", it.Target, "--json").expect(t, exitDone, `,"text":"",`)
	it = net.item(t, "put", "\xff\x00")
	net.run(t, "get", it.Target).expect(t, exitDone, `{"hex":"ff00"}`+"\n")
	if r := net.run(t, "get", it.Target, "--json"); !strings.Contains(r.stdout, `"value_hex":"323aff00","left`) {
		t.Errorf("%s", r.stdout)
	}
}

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// stdin has the standard input come from f.
func stdin(t *testing.T, f *os.File) {
	t.Helper()
	old := os.Stdin
	os.Stdin = f
	t.Cleanup(func() {
		os.Stdin = old
		f.Close()
	})
}

func TestPutAndGetMutableItems(t *testing.T) {
	net := newNetwork(t)
	file, public := newKey(t)
	put := func(args ...string) item {
		t.Helper()
		return net.item(t, append([]string{"put", "--key", file}, args...)...)
	}
	expect := func(it item, seq int64) {
		t.Helper()
		if it.Kind != "mutable" || it.Key != public || it.Seq == nil || *it.Seq != seq || it.Magnet != "" {
			t.Errorf("%+v, want seq %d", it, seq)
		}
	}
	one := put("one")
	expect(one, 1)
	expect(put("two"), 2)
	expect(put("two"), 2) // again as it is
	expect(put("other", "--salt", "n"), 1)
	expect(put("zero", "--salt-hex", "00", "--seq", "0"), 0)

	for _, target := range []string{public, one.Target} {
		it := net.item(t, "get", target)
		expect(it, 2)
		if it.Text != "two" || it.Target != one.Target || len(it.Sig) != 128 {
			t.Errorf("%+v", it)
		}
	}
	salted := net.item(t, "get", public, "--salt", "n")
	expect(salted, 1)
	if salted.Text != "other" || salted.Salt != "6e" || salted.Target == one.Target {
		t.Errorf("%+v", salted)
	}
	net.run(t, "get", salted.Target, "--salt-hex", "6e").expect(t, exitDone, "other\n")
	net.run(t, "get", public, "--salt-hex", "00").expect(t, exitDone, "zero\n")
	net.run(t, "get", public, "--salt", "nothing").expect(t, exitFailed, "no item found\n")
	_, unused := newKey(t)
	net.run(t, "get", unused).expect(t, exitFailed, "no item found; if it has a salt, give --salt\n")

	again := func(status int, says string, args ...string) {
		t.Helper()
		net.run(t, append([]string{"put", "--key", file}, args...)...).expect(t, status, says)
	}
	again(exitDone, "mutable, seq 7, stored at 8 of 8 nodes", "seven", "--seq", "7", "--cas", "2")
	again(exitFailed, "seq 3 is not stored: seq 7 is there", "three", "--seq", "3")
	again(exitFailed, "seq 7 is not stored: it is there with another value", "rival", "--seq", "7")
	again(exitFailed, "krpc: error 301", "eight", "--seq", "8", "--cas", "0")
	again(exitFailed, "another version is there than --cas says", "eight", "--seq", "8", "--cas", "6")
	again(exitDone, "seq 8, stored", "eight", "--seq", "8", "--cas", "7")

	last := "9223372036854775807"
	again(exitDone, "seq "+last+", stored", "last", "--seq", last)
	again(exitDone, "seq "+last+", stored", "last")
	again(exitFailed, "kadnode: seq "+last+" is there with another value: no version can follow\n", "more")
}

func TestPublishTorrents(t *testing.T) {
	net := newNetwork(t)
	file, public := newKey(t)
	torrent := filepath.Join(t.TempDir(), "a.torrent")
	if err := os.WriteFile(torrent, []byte("d4:infod6:lengthi1e4:name1:aee"), 0o600); err != nil {
		t.Fatal(err)
	}
	ih, err := hashTorrent(torrent)
	if err != nil {
		t.Fatal(err)
	}
	it := net.item(t, "put", "--key", file, "--torrent", torrent, "--salt", "n")
	if it.Magnet != "magnet:?xs=urn:btpk:"+public+"&s=6e" {
		t.Errorf("%+v", it)
	}
	if r := net.run(t, "get", it.Magnet); r.stdout != ih.String()+"\n" {
		t.Errorf("%q", r.stdout)
	}
	if got := net.item(t, "get", it.Magnet); got.InfoHash != ih.String() || got.Target != it.Target {
		t.Errorf("%+v", got)
	}
	net.run(t, "put", "--key", file, "--infohash", hash, "--salt", "n").
		expect(t, exitDone, "mutable, seq 2, stored at 8 of 8 nodes\n"+it.Magnet+"\n")
	net.run(t, "get", it.Magnet).expect(t, exitDone, hash+"\n")

	net.run(t, "put", "--key", file, "no torrent").expect(t, exitDone, "stored at 8")
	net.run(t, "get", "magnet:?xs=urn:btpk:"+public).expect(t, exitFailed, "the item is no torrent")
	net.run(t, "put", "--key", file, "--torrent", file).expect(t, exitFailed, file)
}

func TestPutKeep(t *testing.T) {
	net := newNetwork(t)
	r := launch(t, net.args("put", "Hello World!", "--keep", "--timeout", "5s")...)
	if line := r.line(); !strings.HasSuffix(line, "immutable, stored at 8 of 8 nodes") {
		t.Errorf("%q", line)
	}
	select {
	case <-r.ended:
		t.Error("it has not stayed")
	case <-time.After(100 * time.Millisecond):
	}
	r.stop() // its status is 0
	kadnode(t, "put", "x", "--keep", "--timeout", "200ms", "--bootstrap", closedPort(t)).
		expect(t, exitFailed, "no bootstrap node answered")
}

// What has just been put is put again an hour later, but at once if few nodes hold it.
func TestPutKeepGoesOnFromTheFirstPut(t *testing.T) {
	puts := make(chan struct{}, 10)
	net := network{newFakeNode(t, func(q, _ *krpc.Message) {
		if q.Method == krpc.MethodPut {
			trySend(puts, struct{}{})
		}
	})}
	enough := launch(t, net.args("put", "Hello World!", "--keep", "--k", "1")...)
	enough.line()
	<-puts
	select {
	case <-puts:
		t.Error("put twice")
	case <-time.After(200 * time.Millisecond):
	}
	enough.stop()

	few := launch(t, net.args("put", "Hello World!", "--keep", "--k", "8")...)
	few.line()
	for range 2 {
		select {
		case <-puts:
		case <-time.After(patience):
			t.Error("put once")
		}
	}
	few.stop()
}

func TestFailuresAreCountedByReason(t *testing.T) {
	full := &krpc.Error{Code: 202, Text: "full\x1b[2J"}
	list := []kademlia.StoreFailure{{Err: krpc.ErrTimeout}, {Err: full}, {Err: full}}
	want := []string{`2 of the nodes: krpc: error 202: full\x1b[2J`, "1 of the nodes: krpc: timeout"}
	if got := failures(list); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
}

// nested returns the bencoded form of so many lists, each in another.
func nested(depth int) string { return strings.Repeat("l", depth) + strings.Repeat("e", depth) }

func TestWrongUsageOfItems(t *testing.T) {
	file, _ := newKey(t)
	long := strings.Repeat("a", 65)
	for _, args := range [][]string{
		{"put"},
		{"put", "a", "b"},
		{"put", "a", "--file", file},
		{"put", "--torrent", file, "--infohash", hash, "--key", file},
		{"put", "--infohash", hash},
		{"put", "--infohash", "nonsense", "--key", file},
		{"put", "--infohash", hash, "--key", file, "--bencoded"},
		{"put", "d1:b0:1:a0:e", "--bencoded"},
		{"put", strings.Repeat("a", 997)},
		{"put", strings.Repeat("a", 997), "--key", file},
		{"put", nested(64), "--bencoded"},
		{"put", nested(63), "--bencoded"},
		{"put", strconv.Itoa(999) + ":" + strings.Repeat("a", 999), "--bencoded"},
		{"put", "a", "--salt", "n"},
		{"put", "a", "--seq", "1"},
		{"put", "a", "--key", file, "--cas", "1"},
		{"put", "a", "--key", file, "--seq", "1", "--cas", "2"},
		{"put", "a", "--key", file, "--seq", "-1"},
		{"put", "a", "--key", file, "--seq", "9223372036854775808"},
		{"put", "a", "--key", file, "--salt", long},
		{"put", "a", "--key", file, "--salt-hex", "6"},
		{"put", "a", "--key", file, "--salt", "n", "--salt-hex", "6e"},
		{"put", "a", "--timeout", "0s"},
		{"put", "a", "--bootstrap", "none"},
		{"get"},
		{"get", "nonsense"},
		{"get", "magnet:?xt=urn:btih:" + hash},
		{"get", hash, "--raw", "--json"},
		{"get", hash, "--raw", "--watch"},
		{"get", hash, "--watch", "--interval", "4s"},
		{"keygen"},
		{"keygen", "a", "b"},
	} {
		r := kadnode(t, args...)
		if r.status != exitUsage || !strings.HasPrefix(r.stderr, "kadnode: ") || r.stdout != "" {
			t.Errorf("%q: status %d, stderr %q, stdout %q", args, r.status, r.stderr, r.stdout)
		}
	}
	kadnode(t, "put", nested(62), "--bencoded", "--bootstrap", closedPort(t), "--timeout", "200ms").
		expect(t, exitFailed, "no bootstrap node answered")
	kadnode(t, "put", "a", "--key", os.DevNull).expect(t, exitFailed, os.DevNull+" is no regular file")
	kadnode(t, "put", "a", "--key", file+".none").expect(t, exitFailed, "no such file")
	kadnode(t, "put", "--file", file+".none").expect(t, exitFailed, "no such file")
	kadnode(t, "put", "--torrent", file+".none", "--key", file).expect(t, exitFailed, "no such file")
}

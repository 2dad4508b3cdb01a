package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// holding returns a network that holds a peer of each of so many torrents.
func holding(t *testing.T, torrents int) (net network, hashes []string) {
	t.Helper()
	net = newNetwork(t)
	for i := range torrents {
		h := fmt.Sprintf("%02x%s", 256*i/torrents, strings.Repeat("5", 38)) // over the keyspace
		net.run(t, "announce", h, "--port", "1").expect(t, exitDone, "stored at 8")
		hashes = append(hashes, h)
	}
	return net, hashes
}

func TestSampleOfNodes(t *testing.T) {
	net := network{startTestnet(t, "--nodes", "4")} // each holds everything
	net.run(t, "announce", hash, "--port", "1").expect(t, exitDone, "stored at 4")
	kadnode(t, "sample", net.bootstrap).expect(t, exitDone, ": 1 of 1 info-hashes, others in ")
	nobody := closedPort(t)
	r := kadnode(t, "sample", net.bootstrap, nobody, "--json", "--timeout", "500ms")
	r.expect(t, exitFailed, `{"host":"`+nobody+`","error":"krpc: timeout"}`+"\n")
	first, _, _ := strings.Cut(r.stdout, "\n")
	var got struct {
		Host, Addr, ID string
		Num, Interval  int
		Seconds        float64 `json:"interval_seconds"`
		Samples        []string
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil || got.Host != net.bootstrap || got.Addr != net.bootstrap ||
		len(got.ID) != 40 || got.Num != 1 || got.Seconds <= 0 || !slices.Equal(got.Samples, []string{hash}) {
		t.Errorf("%s: %v", first, err)
	}
}

// infoHashes returns the info-hashes in JSON lines, in order.
func infoHashes(t *testing.T, lines ...string) (hashes []string) {
	t.Helper()
	for _, l := range lines {
		var found struct{ InfoHash string }
		if err := json.Unmarshal([]byte(l), &found); err != nil || len(found.InfoHash) != 40 {
			t.Fatalf("%q: %v", l, err)
		}
		hashes = append(hashes, found.InfoHash)
	}
	slices.Sort(hashes)
	return hashes
}

func TestSampleAll(t *testing.T) {
	net, hashes := holding(t, 4)
	file := filepath.Join(t.TempDir(), "checkpoint")
	r := net.run(t, "sample", "--all", "--rate", "1000", "--checkpoint", file)
	r.expect(t, exitDone, "ipv4: complete: 16 nodes visited, 16 of them answered, 16 of these with samples; 4 info-hashes")
	if got := infoHashes(t, strings.Fields(r.stdout)...); !slices.Equal(got, hashes) {
		t.Errorf("found %s, want %s", got, hashes)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a complete sweep has left a checkpoint: %v", err)
	}
}

func TestSampleAllGoesOnFromACheckpoint(t *testing.T) {
	net, hashes := holding(t, 4)
	file := filepath.Join(t.TempDir(), "checkpoint")
	first := launch(t, net.args("sample", "--all", "--rate", "10", "--checkpoint", file)...)
	found := []string{first.line()}
	first.stop() // its status is 0
	found = append(found, first.stdout.rest()...)
	said := first.stderr.rest()
	var visited, queries int
	var share float64
	_, err := fmt.Sscanf(said[len(said)-1], "ipv4: ended at %f %%: %d nodes visited", &share, &visited)
	if err != nil || visited == 0 || visited >= 16 || share <= 0 || share >= 100 {
		t.Errorf("%q: %v", said, err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}

	second := net.run(t, "sample", "--all", "--rate", "1000", "--checkpoint", file)
	second.expect(t, exitDone, "ipv4: complete: 16 nodes visited, 16 of them answered")
	_, rest, _ := strings.Cut(second.stderr, "info-hashes by ")
	if fmt.Sscanf(rest, "%d queries", &queries); queries < 16 || queries > 80 {
		t.Errorf("%d queries in all", queries)
	}
	found = append(found, strings.Fields(second.stdout)...)
	if got := slices.Compact(infoHashes(t, found...)); !slices.Equal(got, hashes) {
		t.Errorf("found %s, want %s", got, hashes)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a complete sweep has left a checkpoint: %v", err)
	}
}

func TestSampleAllEndsWithATimeout(t *testing.T) {
	net := newNetwork(t)
	began := time.Now()
	net.run(t, "sample", "--all", "--rate", "1", "--timeout", "1s").expect(t, exitFailed, "ipv4: ended at ")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

// What nobody reads ends the sweep without a word, also where the system would end the
// process for it.
func TestSampleAllIntoAClosedPipe(t *testing.T) {
	net, _ := holding(t, 1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], net.args("sample", "--all", "--rate", "1000", "--timeout", "10s")...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &stderr)
	}
}

func TestCheckpointFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "checkpoint")
	file, err := readCheckpoints(name) // there is none
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := file.write(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readCheckpoints(name); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(name, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	kadnode(t, "sample", "--all", "--checkpoint", name).expect(t, exitFailed, name+" is no checkpoint of a sweep")
	kadnode(t, "sample", "--all", "--checkpoint", os.DevNull).expect(t, exitFailed, os.DevNull+" is no regular file")
	if b, err := os.ReadFile(name); err != nil || string(b) != "something else" {
		t.Errorf("it was overwritten: %q, %v", b, err)
	}
	if err := file.remove(); err != nil {
		t.Error(err)
	}
	nowhere := filepath.Join(name, "checkpoint")
	kadnode(t, "sample", "--all", "--checkpoint", nowhere, "--bootstrap", closedPort(t)).expect(t, exitFailed, nowhere)
	if err := file.remove(); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
}

func FuzzDecodeCheckpoints(f *testing.F) {
	f.Add([]byte("d4:ipv40:4:ipv60:e"))
	f.Add([]byte("d4:ipv42:de4:ipv60:e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c checkpointFile
		if c.decode(b) != nil {
			return
		}
		again, err := c.encode()
		if err != nil || new(checkpointFile).decode(again) != nil {
			t.Fatalf("%q becomes %q: %v", b, again, err)
		}
	})
}

func TestWrongUsageOfSample(t *testing.T) {
	for _, args := range []string{
		"sample",
		"sample --all 127.0.0.1:1",
		"sample 127.0.0.1",
		"sample --all --rate 0",
		"sample --all --rate -1",
		"sample 127.0.0.1:1 --rate 1",
		"sample 127.0.0.1:1 --checkpoint file",
		"sample 127.0.0.1:1 --timeout 0s",
	} {
		kadnode(t, strings.Fields(args)...).expect(t, exitUsage, "kadnode: ")
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/kademlia/sim/scenario"
)

func TestSim(t *testing.T) {
	args := []string{"sim", "--scenario", "loss", "--nodes", "8", "--minutes", "10", "--seed", "3", "--loss", "0.1", "--session", "20m", "--shape", "0.6", "--family", "mixed"}
	people := kadnode(t, args...)
	people.expect(t, exitDone, "loss, seed 3: 8 nodes")
	object := kadnode(t, append(args, "--json")...)
	object.expect(t, exitDone, "")
	var r scenario.Report
	if err := json.Unmarshal([]byte(object.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Verdict != scenario.VerdictHeld || r.FaultMinutes != 10 || r.Loss != .1 || r.Session != 1200 || r.Shape != .6 || r.Family != "mixed" || r.SkipFinal {
		t.Errorf("verdict %q of %+v", r.Verdict, r.Settings)
	}
	const replay = "kadnode sim --scenario loss --seed 3 --nodes 8 --minutes 10 --loss 0.1 --session 20m0s --shape 0.6 --family mixed"
	for _, want := range []string{"run: mixed, 10 minutes of faults,", fmt.Sprintf("verdict: invariants held; what was acknowledged was found, %d peers and items\n", r.Demanded), "replay: " + replay + "\n"} {
		if !strings.Contains(people.stdout, want) || r.Replay != replay {
			t.Errorf("replay %q and, in place of %q:\n%s", r.Replay, want, people.stdout)
		}
	}
	if r.Nodes != 8 || r.Demanded == 0 || r.GetPeers.Count == 0 || r.Load.Mean == 0 || r.Tables.Contacts == 0 || !strings.Contains(people.stdout, r.TraceHash) {
		t.Errorf("%+v, after\n%s", r, people.stdout)
	}
}

func TestSimDrawsPlots(t *testing.T) {
	if raceEnabled {
		t.Skip("several worlds, each in one goroutine")
	}
	dir := filepath.Join(t.TempDir(), "plots")
	drawn := kadnode(t, "sim", "--nodes", "10", "--minutes", "1", "--skip-final", "--plot", dir)
	drawn.expect(t, exitDone, "was not asked, since --skip-final")
	for _, name := range []string{"hops.svg", "churn.svg", "load.svg", "times.svg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		checkXML(t, name, b)
		if !strings.Contains(drawn.stderr, "wrote "+filepath.Join(dir, name)) {
			t.Errorf("%s is not told of: %s", name, drawn.stderr)
		}
		if !bytes.Contains(b, []byte("polyline")) || bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// Where the plots cannot be written is told before the run, not after it.
func TestSimPlotsNeedADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.Mkdir(filepath.Join(full, "times.svg"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, full} {
		r := kadnode(t, "sim", "--nodes", "10", "--minutes", "1", "--plot", dir)
		r.expect(t, exitFailed, "")
		if r.stdout != "" || !strings.Contains(r.stderr, "plot: ") {
			t.Errorf("%s%s", r.stdout, r.stderr)
		}
	}
}

func checkXML(t *testing.T, name string, b []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestSimSoaks(t *testing.T) {
	object := kadnode(t, "sim", "--soak-seeds", "3", "--seed", "7", "--json")
	object.expect(t, exitDone, "")
	var o soakObject
	if err := json.Unmarshal([]byte(object.stdout), &o); err != nil || o.Verdict != scenario.VerdictHeld || o.Worlds != 3 || o.FirstSeed != 7 || o.Datagrams == 0 {
		t.Errorf("%+v, %v", o, err)
	}
	kadnode(t, "sim", "--soak", "100ms").expect(t, exitDone, "no invariant was broken")
}

// A world that is broken ends the command with what is needed to have it again.
func TestSimExplainsWhatIsBroken(t *testing.T) {
	var stderr bytes.Buffer
	s := &simulation{o: new(simOptions), stderr: &stderr}
	err := s.explain(&scenario.Broken{Scenario: "everything", Seed: 7, What: "oops", Replay: "kadnode sim --seed 7", Trace: []string{"before"}})
	if err == nil || !strings.Contains(err.Error(), "everything, seed 7") || stderr.String() != "before\nreplay with: kadnode sim --seed 7\n" {
		t.Errorf("%v\n%s", err, &stderr)
	}
}

func TestSimIsInterrupted(t *testing.T) {
	for _, args := range [][]string{{"sim", "--nodes", "100000", "--json"}, {"sim", "--soak", "1h", "--json"}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out bytes.Buffer
		if status := execute(ctx, args, &out, &out); status != exitFailed || !strings.Contains(out.String(), `"verdict":"interrupted"`) {
			t.Errorf("%v: status %d\n%s", args, status, &out)
		}
	}
}

func TestWrongUsageOfSim(t *testing.T) {
	for _, args := range [][]string{
		{"--scenario", "disaster"}, {"--nodes", "2"}, {"--seed", "-1"}, {"--minutes", "0"}, {"--loss", "1"}, {"--loss", "x"},
		{"--session", "1s"}, {"--session", "0s"}, {"--plot", ""}, {"--shape", "0"}, {"--shape", "NaN"}, {"--shape", "0.5"}, {"--scenario", "loss", "--shape", "0.5"}, {"--family", "appletalk"}, {"--soak", "0s"}, {"--soak", "-1s"},
		{"--soak-seeds", "0"}, {"--soak", "1m", "--soak-seeds", "1"}, {"--soak", "1m", "--nodes", "10"}, {"more"},
	} {
		kadnode(t, append([]string{"sim"}, args...)...).expect(t, exitUsage, "kadnode sim --help")
	}
}

func TestAxesAreRound(t *testing.T) {
	for _, c := range []struct {
		from, to float64
		labels   string
	}{
		{0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{4, 7.64, "4 5 6 7 8"},
		{0, 37, "0 10 20 30 40"},
		{99.1, 100, "99.0 99.2 99.4 99.6 99.8 100.0"},
		{0, 12000, "0 2000 4000 6000 8000 10000 12000"},
		{3, 3, "3.0 3.2 3.4 3.6 3.8 4.0"},
		{0, .05, "0.00 0.01 0.02 0.03 0.04 0.05"},
	} {
		a := newAxis(c.from, c.to)
		var labels []string
		for _, v := range a.ticks() {
			labels = append(labels, a.label(v))
		}
		if got := strings.Join(labels, " "); got != c.labels {
			t.Errorf("%v to %v: %s, want %s", c.from, c.to, got, c.labels)
		}
	}
}

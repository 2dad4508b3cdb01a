package scenario

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	seeds     = flag.Int("seeds", 0, "random worlds to run; 0: as many as take a minute")
	lines     = flag.Int("lines", 20, "of the trace of a world that breaks an invariant")
	nodes     = flag.Int("nodes", 0, "of the world under churn; 0: what takes some seconds")
	hours     = flag.Int("hours", 1, "that it lives, of virtual time")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first of them")
)

// run runs a world, and fails the test with all that is known if an invariant does not hold.
func run(t *testing.T, cfg Config) Report {
	t.Helper()
	r, err := Run(cfg)
	var b *Broken
	if errors.As(err, &b) {
		t.Errorf("%v\n%s\nreplay: %s", b, strings.Join(b.Trace[max(0, len(b.Trace)-*lines):], "\n"), b.Replay)
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each scenario that has a name leaves a sound world.
func TestNamedScenarios(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s, _ := Named(name)
			r := run(t, Config{Scenario: s, Seed: 1, Nodes: max(6, scaled(30))})
			t.Log(r)
		})
	}
}

// Random mixtures of faults in random worlds.
func TestEverything(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	mixture, _ := Named(everything)
	n := *seeds
	if n == 0 {
		n = 200
	}
	for seed := *firstSeed; seed < *firstSeed+uint64(n); seed++ {
		run(t, Config{Scenario: mixture, Seed: seed})
	}
}

// The same seed gives the same datagrams at the same times; another one does not.
func TestSeedRepeatsItself(t *testing.T) {
	mixture, _ := Named(everything)
	hash := func(seed uint64) string { return run(t, Config{Scenario: mixture, Seed: seed}).TraceHash }
	for seed := uint64(1); seed <= uint64(scaled(6)+1); seed++ {
		first := hash(seed)
		if second := hash(seed); second != first {
			t.Errorf("seed %d: the trace is %s, and %s again", seed, first, second)
		}
		if hash(seed+1000) == first {
			t.Errorf("seed %d has the trace of seed %d", seed+1000, seed)
		}
	}
}

// What random worlds have found, each in the smallest world that shows it.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		what   string
		seed   uint64 // of "everything", that found it
		nodes  int
		length time.Duration
		faults []Fault
	}{
		{"who knows nobody, and finds no bootstrap node, has no table to look after: the invariant asked too much", 288,
			8, 90 * time.Minute, []Fault{{Kind: DNS, To: 1}, {Kind: Churn, To: .3, Time: 15 * time.Minute}}},
		{"a node that had lost all of its contacts did not try to join for up to half an hour", 568,
			12, 56 * time.Minute, []Fault{
				{Kind: Unplug, From: .721, To: .843, Share: .451},
				{Kind: Reorder, From: .096, To: .643, Share: .073},
				{Kind: DNS, From: .624, To: .726},
				{Kind: DiskFault, From: .53, To: .742, Share: .042},
				{Kind: PowerCut, From: .106, To: .921, Time: 59*time.Minute + 57*time.Second},
				{Kind: Corrupt, From: .213, To: .423, Share: .048},
			}},
		{"who has just lost the last contact need not have tried to join before: the invariant took it to be alone since it was last looked at", 1563,
			6, 58 * time.Minute, []Fault{
				{Kind: Unplug, From: .468, To: .981, Share: .403},
				{Kind: OneWay, From: .214, To: .782, Share: .199},
				{Kind: Slow, From: .45, To: .912, Share: .037},
			}},
		{"an announce that fails for want of contacts sends no query, and the next is an interval later: the invariant missed the attempt", 2015,
			3, 56 * time.Minute, []Fault{{Kind: Unplug, From: .145, To: .548, Share: .476}}},
		{"a power cut right after the start loses what was tracked at the start: the invariant took it to be synced", 4691,
			17, 22 * time.Minute, []Fault{
				{Kind: DNS, From: .631, To: .97},
				{Kind: PowerCut, From: .113, To: .968, Time: 21*time.Minute + 12*time.Second},
				{Kind: Skew, From: .223, To: .767, Share: .189, Time: 42*time.Minute + 32*time.Second},
				{Kind: Churn, From: .475, To: .675, Time: 19*time.Minute + 58*time.Second},
			}},
		{"where all are behind NATs nobody finds what another one keeps: the invariant asked too much", 4703,
			8, 20 * time.Minute, []Fault{
				{Kind: DNS, From: .059, To: .753},
				{Kind: OneWay, From: .134, To: .898, Share: .221},
				{Kind: NAT, From: .461, To: .794, Share: .545},
				{Kind: Churn, From: .178, To: .672, Time: 21*time.Minute + 10*time.Second, Shape: .648},
			}},
	} {
		t.Run(fmt.Sprint("seed ", c.seed), func(t *testing.T) {
			t.Log(c.what)
			run(t, Config{Scenario: Scenario{Name: "finding", Faults: c.faults}, Seed: c.seed, Nodes: c.nodes, Length: c.length})
		})
	}
}

// With sessions of half an hour, and 5 % of the datagrams lost each way, who looks for peers
// finds a live one.
func TestPeersAreFoundUnderChurn(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	n := *nodes
	if n == 0 {
		n = 150
	}
	s, _ := Named("calm")
	cfg := Config{Scenario: s, Seed: 1, Nodes: n, Session: 30 * time.Minute, Loss: .05, Length: time.Duration(*hours) * time.Hour, Lookups: 2000}
	r := run(t, cfg)
	t.Logf("replay: %s\n%v", cfg.Replay(), r)
	if r.GetPeers.Count < 1800 || r.GetPeers.Success < .995 {
		t.Errorf("%.2f%% of %d lookups have found a live peer, want 99.5%%", 100*r.GetPeers.Success, r.GetPeers.Count)
	}
}

// A few programs that hold many items are asked for all of them, whatever they allow strangers.
func TestManyItems(t *testing.T) {
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
	s, _ := Named("calm")
	r := run(t, Config{Scenario: s, Seed: 1, Nodes: 3, Length: 5 * time.Minute, Lookups: 100_000, SkipFinal: true})
	if r.Puts.Count < 500 || r.Puts.Success == 0 {
		t.Errorf("%d puts, of which %.0f%% were stored", r.Puts.Count, 100*r.Puts.Success)
	}
}

// The report of a run is of the time in which things go wrong, whatever comes then, and says so.
func TestReportIsOfTheFaults(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	cfg := Config{Scenario: Scenario{Name: "loss", Faults: []Fault{{Kind: Loss, To: 1, Share: .1}}}, Seed: 2, Nodes: 20, Length: 10 * time.Minute}
	settled := run(t, cfg)
	cfg.SkipFinal = true
	hasty := run(t, cfg)
	if settled.Load != hasty.Load || settled.Tables != hasty.Tables || hasty.Tables.Contacts == 0 {
		t.Errorf("load %+v and %+v, tables %+v and %+v", settled.Load, hasty.Load, settled.Tables, hasty.Tables)
	}
	if settled.Verdict != VerdictHeld || settled.SkipFinal || !hasty.SkipFinal || !strings.Contains(hasty.Replay, "--skip-final") {
		t.Errorf("%+v, %+v", settled.Settings, hasty.Settings)
	}
}

// A row without a count has nothing to tell, and all rows have the columns of the header.
func TestRowsLineUp(t *testing.T) {
	text := Report{GetPeers: Operations{Count: 12, Success: 1}}.String()
	table := strings.Split(text, "\n")[2:7]
	for _, row := range table {
		if len(row) != len(table[0]) {
			t.Errorf("%d columns, want %d:\n%s", len(row), len(table[0]), text)
		}
	}
	if strings.Count(table[1], " -") != 9-1 || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}

// A large world is replayed with what its size decides otherwise.
func TestReplayOfLargeWorlds(t *testing.T) {
	calm, _ := Named("calm")
	cfg := Config{Scenario: calm, Seed: 1, Nodes: LargeWorld + 1}
	if got := cfg.Replay(); !strings.HasSuffix(got, "--skip-final=false") {
		t.Error(got)
	}
}

// scaled returns how many to make of n. The race detector makes fifteen seconds of one.
func scaled(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

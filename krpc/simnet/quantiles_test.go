package simnet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// roundTrips draws the round-trip times of many pairs, in ascending order.
func roundTrips(latency LatencyFunc) []time.Duration {
	r := rand.New(rand.NewPCG(1, 0))
	rtts := make([]time.Duration, 20_000)
	for i := range rtts {
		a, b := Addr(r.IntN(100_000)), Addr(r.IntN(100_000))
		rtts[i] = latency(a, b, r) + latency(b, a, r)
	}
	slices.Sort(rtts)
	return rtts
}

func expectQuantile(t *testing.T, rtts []time.Duration, share float64, want time.Duration) {
	t.Helper()
	got := rtts[int(share*float64(len(rtts)-1))]
	if got < want*94/100 || got > want*110/100 { // jitter is +2.5 % on average
		t.Errorf("quantile %v is %v, want about %v", share, got, want)
	}
}

func TestLatencyFromQuantiles(t *testing.T) {
	latency, err := ReadLatency(strings.NewReader(`# measured in spring
0    20ms   # next door
0.5  90ms

0.95 350
1    1.5s
`), 1)
	if err != nil {
		t.Fatal(err)
	}
	rtts := roundTrips(latency)
	expectQuantile(t, rtts, .25, 55*time.Millisecond)
	expectQuantile(t, rtts, .5, 90*time.Millisecond)
	expectQuantile(t, rtts, .95, 350*time.Millisecond)
	expectQuantile(t, rtts, .975, 925*time.Millisecond)
}

func TestLatencyFromSamples(t *testing.T) {
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&file, 10+(i*7)%1000) // 10 to 1009 ms in any order
	}
	latency, err := ReadLatency(strings.NewReader(file.String()), 1)
	if err != nil {
		t.Fatal(err)
	}
	rtts := roundTrips(latency)
	expectQuantile(t, rtts, .1, 110*time.Millisecond)
	expectQuantile(t, rtts, .5, 510*time.Millisecond)
	expectQuantile(t, rtts, .99, 1000*time.Millisecond)
}

func TestLatencyOfOneSample(t *testing.T) {
	latency, err := ReadLatency(strings.NewReader("100ms"), 1)
	if err != nil {
		t.Fatal(err)
	}
	rtts := roundTrips(latency)
	if rtts[0] < 95*time.Millisecond || rtts[len(rtts)-1] > 110*time.Millisecond {
		t.Errorf("%v to %v", rtts[0], rtts[len(rtts)-1])
	}
}

func TestLatencyFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "no line",
		"# nothing":                "no line",
		"ninety":                   `line 1: time "ninety"`,
		"-1ms":                     "line 1",
		"11m":                      "line 1",
		"NaN":                      "line 1",
		"1e300":                    "line 1",
		"1ms\n\n2 3 4":             "line 3: want [QUANTILE]",
		"1.5 1ms":                  `quantile "1.5"`,
		"NaN 1ms":                  `quantile "NaN"`,
		"1ms\n0.5 1ms":             "line 2: want as many",
		"0.5 1ms\n0.5 2ms":         "line 2: want both",
		"0.5 2ms\n0.6 1ms":         "line 2: want both",
		strings.Repeat("9", 1<<17): "token too long",
	} {
		if _, err := ReadLatency(strings.NewReader(text), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func FuzzReadLatency(f *testing.F) {
	for _, s := range []string{"90ms", "0 1\n.5 2\n1 3", "# x\n1e2 # y", "0.1 1ms\r\n"} {
		f.Add(s)
	}
	r := rand.New(rand.NewPCG(1, 0))
	f.Fuzz(func(t *testing.T, text string) {
		latency, err := ReadLatency(strings.NewReader(text), 1)
		if err != nil {
			return
		}
		if d := latency(Addr(0), Addr(1), r); d < 0 || d > maxSampleRTT {
			t.Errorf("%v one way", d)
		}
	})
}

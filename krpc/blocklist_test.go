package krpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func loadBlocklist(t testing.TB, text string) *Blocklist {
	t.Helper()
	b := new(Blocklist)
	n, err := b.Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if n != b.Len() {
		t.Fatalf("Load returned %d, Len %d", n, b.Len())
	}
	return b
}

func TestBlocklistLines(t *testing.T) {
	tests := []struct{ line, from, to string }{
		// One address or prefix.
		{"1.2.3.4", "1.2.3.4", "1.2.3.4"},
		{"  1.2.3.4\t\r", "1.2.3.4", "1.2.3.4"},
		{"001.010.099.000", "1.10.99.0", "1.10.99.0"},
		{"1.2.3.4/24", "1.2.3.0", "1.2.3.255"},
		{"1.2.3.4/32", "1.2.3.4", "1.2.3.4"},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
		{"1.10.16.0/20 ; SBL256894", "1.10.16.0", "1.10.31.255"},
		{"1.2.3.4 # not 5.6.7.8-5.6.7.9", "1.2.3.4", "1.2.3.4"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::1"},
		{"2001:db8::1/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"},
		{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4"},
		{"::ffff:1.2.3.4/120", "1.2.3.0", "1.2.3.255"},
		// PeerGuardian's text form.
		{"name:1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9"},
		{":1.2.3.4-1.2.3.4", "1.2.3.4", "1.2.3.4"},
		{"a: b:c::d:1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9"},
		{"A-B, Inc. #1; 5.6.7.8-5.6.7.9:1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9"},
		{"caf\xe9:001.002.003.004-001.002.003.009", "1.2.3.4", "1.2.3.9"},
		{"name:2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff"},
		{"cafe:2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff"},
		{"ab:2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff"},
		{"2001:2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff"},
		{"name:2400:2500::-2fff::", "2400:2500::", "2fff::"},
		{"a:1:2:3:4:5:6:7::-1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:8"},
		{"a:::2:3:4:5:6:7:8-::2:3:4:5:6:7:9", "::2:3:4:5:6:7:8", "::2:3:4:5:6:7:9"},
		{"n:64:ff9b::1.2.3.4-64:ff9b::1.2.3.9", "64:ff9b::102:304", "64:ff9b::102:309"},
		{"1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9"},
		{"2001:db8::1 - 2001:db8::ff", "2001:db8::1", "2001:db8::ff"},
		// eMule's ipfilter.dat.
		{"001.002.003.004 - 001.002.003.009 , 000 , a:b, c-d", "1.2.3.4", "1.2.3.9"},
		{"1.2.3.4-1.2.3.9,127,x", "1.2.3.4", "1.2.3.9"},
		{"1.2.3.4 - 1.2.3.9 ,", "1.2.3.4", "1.2.3.9"},
		{"2001:db8::1 - 2001:db8::ff , 0 , x", "2001:db8::1", "2001:db8::ff"},
		{"1.2.3.4 - 1.2.3.9 , 128 , permitted", "", ""},
		// Nothing.
		{"", "", ""},
		{" \t", "", ""},
		{"# 1.2.3.4", "", ""},
		{" ; 1.2.3.4", "", ""},
	}
	for _, tt := range tests {
		from, to, err := parseBlocklistLine(tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		var want [2]netip.Addr
		if tt.from != "" {
			want = [2]netip.Addr{netip.MustParseAddr(tt.from), netip.MustParseAddr(tt.to)}
		}
		if got := [2]netip.Addr{from, to}; got != want {
			t.Errorf("%q: %v, want %v", tt.line, got, want)
		}
	}
}

func TestBlocklistBadLines(t *testing.T) {
	tests := []struct {
		line string
		err  error
	}{
		{"example.org", errBlocklistForm},
		{"1.2.3", errBlocklistForm},
		{"1.2.3.4.5", errBlocklistForm},
		{"1.2.3.256", errBlocklistForm},
		{"1.2.3.0004", errBlocklistForm},
		{"1.2.3.+4", errBlocklistForm},
		{"1.2..4", errBlocklistForm},
		{"1.2.3.4/33", errBlocklistForm},
		{"1.2.3.4/", errBlocklistForm},
		{"1.2.3.4/-1", errBlocklistForm},
		{"1.2.3.4/24/8", errBlocklistForm},
		{"::ffff:1.2.3.4/24", errBlocklistForm},
		{"fe80::1%eth0", errBlocklistForm},
		{"2001:db8::/129", errBlocklistForm},
		{"name:1.2.3.4", errBlocklistForm},
		{"name:1.2.3.4-", errBlocklistForm},
		{"name:-1.2.3.4", errBlocklistForm},
		{"name 1.2.3.4-1.2.3.9", errBlocklistForm},
		{"-", errBlocklistForm},
		{"name:1.2.3.9-1.2.3.4", errBlocklistOrder},
		{"name:2001:db8::9-2001:db8::1", errBlocklistOrder},
		{"name:1.2.3.4-2001:db8::1", errBlocklistOrder},
		{"1.2.3.9 - 1.2.3.4 , 0 , x", errBlocklistOrder},
		{"1.2.3.4 - ::1 , 0 , x", errBlocklistOrder},
		{"1.2.3.4 - 1.2.3.9 , no , x", errBlocklistLevel},
		{"1.2.3.4 - 1.2.3.9 , -1 , x", errBlocklistLevel},
	}
	for _, tt := range tests {
		if from, to, err := parseBlocklistLine(tt.line); !errors.Is(err, tt.err) {
			t.Errorf("%q: %v to %v, error %v; want error %v", tt.line, from, to, err, tt.err)
		}
	}
}

func TestBlocklistContains(t *testing.T) {
	b := loadBlocklist(t, "\ufeff# a list\r\n"+
		"0.0.0.0/8\r\n"+
		"10.0.0.10-10.0.0.20\n"+
		"10.0.0.15-10.0.0.30\n"+ // overlaps
		"10.0.0.16\n"+ // lies within
		"10.0.0.31-10.0.0.40\n"+ // touches
		"10.0.0.42\n"+
		"255.255.255.255\n"+
		"255.255.255.254\n"+
		"2001:db8::ffff:ffff:ffff:ffff\n"+
		"2001:db8:0:1::\n"+ // touches across the lower half
		"ffff::/16")
	if got, want := b.Len(), 4+2; got != want {
		t.Errorf("%d ranges, want %d", got, want)
	}
	in := []string{
		"0.0.0.0", "0.255.255.255", "10.0.0.10", "10.0.0.25", "10.0.0.40", "10.0.0.42",
		"255.255.255.254", "255.255.255.255", "::ffff:10.0.0.10", "2001:db8::ffff:ffff:ffff:ffff",
		"2001:db8:0:1::", "2001:db8:0:1::%eth0", "ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	}
	out := []string{
		"1.0.0.0", "10.0.0.9", "10.0.0.41", "10.0.0.43", "255.255.255.253", "::", "::ffff:10.0.0.9",
		"::10.0.0.10", "2001:db8::ffff:ffff:ffff:fffe", "2001:db8:0:1::1", "fffe:ffff::",
	}
	for _, s := range in {
		if !b.Contains(netip.MustParseAddr(s)) {
			t.Errorf("does not contain %s", s)
		}
	}
	for _, s := range out {
		if b.Contains(netip.MustParseAddr(s)) {
			t.Errorf("contains %s", s)
		}
	}
	if b.Contains(netip.Addr{}) {
		t.Error("contains the zero Addr")
	}
}

func TestBlocklistEmpty(t *testing.T) {
	var none *Blocklist
	for _, b := range []*Blocklist{none, new(Blocklist), loadBlocklist(t, ""), loadBlocklist(t, "# nothing")} {
		if b.Len() != 0 || b.Contains(netip.MustParseAddr("1.2.3.4")) || b.Contains(netip.MustParseAddr("::1")) {
			t.Errorf("a list without ranges contains something: %d ranges", b.Len())
		}
	}
}

func TestBlocklistLoadIsAllOrNothing(t *testing.T) {
	b, old := loadBlocklist(t, "1.2.3.4\n5.6.7.8"), netip.MustParseAddr("1.2.3.4")
	long := strings.Repeat("x", maxBlocklistLine)
	tests := []struct{ text, want string }{
		{"9.9.9.9\n\nnonsense\n8.8.8.8", `krpc: load blocklist: line 3: "nonsense\n": ` + errBlocklistForm.Error()},
		{"nonsense", `krpc: load blocklist: line 1: "nonsense": ` + errBlocklistForm.Error()},
		{long[:100], `krpc: load blocklist: line 1: "` + long[:60] + `": ` + errBlocklistForm.Error()},
		{"#\n#" + long, `krpc: load blocklist: line 2: "#` + long[:59] + `": ` + errLineTooLong.Error()},
	}
	for _, tt := range tests {
		n, err := b.Load(strings.NewReader(tt.text))
		if err == nil || err.Error() != tt.want || n != 0 {
			t.Errorf("%.20q: %d ranges, error %v\nwant %s", tt.text, n, err, tt.want)
		}
	}
	broken := errors.New("broken disk")
	if _, err := b.Load(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reading failed, yet the error is %v", err)
	}
	if b.Len() != 2 || !b.Contains(old) {
		t.Error("a list that could not be loaded replaced the old one")
	}
	if n, err := b.Load(strings.NewReader("9.9.9.9")); n != 1 || err != nil || b.Contains(old) {
		t.Errorf("the next list did not replace the old one: %d ranges, error %v", n, err)
	}
}

func TestBlocklistTooManyRanges(t *testing.T) {
	l := &blockedRanges{v4: make([]span[addr4], maxBlocklistRanges-1)}
	if err := l.addLine("::1"); err != nil {
		t.Errorf("range %d: %v", maxBlocklistRanges, err)
	}
	if err := l.addLine("::2"); !errors.Is(err, errTooManyRanges) {
		t.Errorf("range %d: error %v", maxBlocklistRanges+1, err)
	}
	if err := l.addLine("# the end"); err != nil {
		t.Errorf("a comment after the last range: %v", err)
	}
}

// Readers see the old list or the new one, never a mixture.
func TestBlocklistReplacedWhileRead(t *testing.T) {
	even, odd := "1.0.0.0\n3.0.0.0\n5.0.0.0", "1.0.0.0\n2.0.0.0\n4.0.0.0\n6.0.0.0"
	always, never := netip.MustParseAddr("1.0.0.0"), netip.MustParseAddr("7.0.0.0")
	b := loadBlocklist(t, even)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !b.Contains(always) || b.Contains(never) {
					t.Error("an address in both lists was missed, or one in neither found")
					return
				}
				if n := b.Len(); n != 3 && n != 4 {
					t.Errorf("%d ranges", n)
					return
				}
			}
		})
	}
	for range 500 {
		for _, text := range []string{odd, "nonsense", even} {
			_, _ = b.Load(strings.NewReader(text)) // the second fails
		}
	}
	close(stop)
	wg.Wait()
}

// FuzzBlocklist holds the merged, searched ranges against a scan of the lines.
func FuzzBlocklist(f *testing.F) {
	f.Add("1.2.3.4\n1.2.3.0/24\n# c\n\n2001:db8::/32 ; c\n")
	f.Add("a:b:1.2.3.4-1.2.3.9\ncafe:2001:db8::1-2001:db8::ff\n1.2.3.10-1.2.3.255")
	f.Add("001.002.003.004 - 001.002.003.009 , 000 , x\n1.2.3.4 - 1.2.3.5 , 128 , y\r\n")
	f.Add("0.0.0.0/0\n::/0\n255.255.255.255\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	f.Add("::ffff:1.2.3.4/120\n::ffff:9.9.9.9\n\ufeff1.1.1.1")
	f.Add(strings.Repeat("1.2.3.4-", 600))
	f.Fuzz(func(t *testing.T, text string) {
		b := loadBlocklist(t, "9.9.9.9")
		if _, err := b.Load(strings.NewReader(text)); err != nil {
			if b.Len() != 1 || !b.Contains(netip.MustParseAddr("9.9.9.9")) {
				t.Fatal("the old list did not stay")
			}
			return
		}
		lines := plainRanges(t, text)
		if b.Len() > len(lines) {
			t.Fatalf("%d ranges from %d lines", b.Len(), len(lines))
		}
		for _, l := range lines {
			for _, a := range []netip.Addr{l[0], l[1], l[0].Prev(), l[1].Next()} {
				if got, want := b.Contains(a), inPlainRanges(lines, a); got != want {
					t.Fatalf("Contains(%v) = %t, want %t", a, got, want)
				}
			}
		}
	})
}

// plainRanges returns the ranges of a list that could be loaded, as written.
func plainRanges(t *testing.T, text string) (ranges [][2]netip.Addr) {
	for line := range strings.SplitSeq(text, "\n") {
		from, to, err := parseBlocklistLine(strings.TrimPrefix(line, utf8BOM))
		if err != nil {
			t.Fatalf("Load took a bad line %q: %v", line, err)
		}
		if from.Is4In6() || to.Is4In6() || from.Zone() != "" || to.Less(from) || from.BitLen() != to.BitLen() {
			t.Fatalf("%q: range from %v to %v", line, from, to)
		}
		if from.IsValid() {
			ranges = append(ranges, [2]netip.Addr{from, to})
		}
	}
	return ranges
}

func inPlainRanges(ranges [][2]netip.Addr, a netip.Addr) bool {
	for _, r := range ranges {
		if a.BitLen() == r[0].BitLen() && r[0].Compare(a) <= 0 && a.Compare(r[1]) <= 0 {
			return true
		}
	}
	return false
}

func TestBlocklistAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := loadBlocklist(t, "1.2.3.4\n2001:db8::/32")
	v4, v6 := netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("2001:db8::1")
	if allocs := testing.AllocsPerRun(100, func() { b.Contains(v4); b.Contains(v6) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// randomP2P returns a list of n small ranges, as large public lists have them.
func randomP2P(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var s strings.Builder
	for i := range n {
		a := r.Uint32() &^ 7
		fmt.Fprintf(&s, "Some Company %d:%d.%d.%d.%d-%d.%d.%d.%d\n", i,
			a>>24, a>>16&255, a>>8&255, a&255, a>>24, a>>16&255, a>>8&255, a&255|7)
	}
	return s.String()
}

func BenchmarkBlocklistContains(b *testing.B) {
	list := loadBlocklist(b, randomP2P(300_000)+"2001:db8::/32\n")
	v4s := make([]netip.Addr, 1<<12)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range v4s {
		v4s[i] = netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), 1})
	}
	b.Run("v4", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			list.Contains(v4s[i%len(v4s)])
		}
	})
	b.Run("v6", func(b *testing.B) {
		b.ReportAllocs()
		a := netip.MustParseAddr("2001:db8::1")
		for b.Loop() {
			list.Contains(a)
		}
	})
}

func BenchmarkBlocklistLoad(b *testing.B) {
	text := randomP2P(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := new(Blocklist).Load(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

package krpc

import (
	"fmt"
	"strings"
	"testing"
)

// Arguments of queries.
const (
	idArg       = "2:id20:" + idA
	targetArg   = "6:target20:" + idM
	infoHashArg = "9:info_hash20:" + idM
	portArg     = "4:porti6881e"
	tokenArg    = "5:token2:tk"
)

// argsCheck is what is wrong with the arguments of a query; nothing if it is empty.
type argsCheck struct{ method, args, want string }

func (c *argsCheck) run(t *testing.T) {
	t.Helper()
	m := decode(t, fmt.Sprintf("d1:ad%se1:q%d:%s1:t2:aa1:y1:qe", c.args, len(c.method), c.method))
	got := ""
	if err := m.CheckQuery(); err != nil {
		got = fmt.Sprintf("%d %s", err.Code, err.Text)
	}
	if got != c.want {
		t.Errorf("%s %q: got %q, want %q", c.method, c.args, got, c.want)
	}
}

func TestCheckQuery(t *testing.T) {
	for _, c := range []argsCheck{
		{"ping", idArg, ""},
		{"ping", "", "203 missing argument id"},
		{"ping", "2:id3:abc", "203 invalid argument id"},
		{"ping", "2:idi1e", "203 invalid argument id"},
		{"ping", idArg + "4:porti0e" + "6:target1:x", ""}, // not arguments of a ping

		{"find_node", idArg + targetArg, ""},
		{"find_node", idArg, "203 missing argument target"},
		{"find_node", idArg + infoHashArg, "203 missing argument target"},
		{"find_node", idArg + "6:target1:x", "203 invalid argument target"},
		{"find_node", targetArg, "203 missing argument id"},

		{"get_peers", idArg + infoHashArg, ""},
		{"get_peers", idArg + targetArg, "203 missing argument info_hash"},
		{"get_peers", idArg + "9:info_hash21:x" + idA, "203 invalid argument info_hash"},
		{"get_peers", idArg + infoHashArg + "6:scrape1:1", "203 invalid argument scrape"},
		{"get_peers", idArg + infoHashArg + "6:noseedle", "203 invalid argument noseed"},
		{"get_peers", idArg + infoHashArg + "4:wanti4e", ""},

		{"announce_peer", idArg + infoHashArg + portArg + tokenArg, ""},
		{"announce_peer", idArg + infoHashArg + portArg + "5:token0:", ""},
		{"announce_peer", idArg + portArg + tokenArg, "203 missing argument info_hash"},
		{"announce_peer", idArg + infoHashArg + portArg, "203 missing argument token"},
		{"announce_peer", idArg + infoHashArg + portArg + "5:tokeni1e", "203 invalid argument token"},
		{"announce_peer", idArg + infoHashArg + tokenArg, "203 missing argument port"},
		{"announce_peer", idArg + infoHashArg + "4:porti0e" + tokenArg, "203 invalid argument port"},
		{"announce_peer", idArg + infoHashArg + "4:porti65536e" + tokenArg, "203 invalid argument port"},
		{"announce_peer", idArg + infoHashArg + "4:porti-1e" + tokenArg, "203 invalid argument port"},
		{"announce_peer", idArg + infoHashArg + tokenArg + "12:implied_porti1e", ""},
		{"announce_peer", idArg + infoHashArg + "4:porti0e" + tokenArg + "12:implied_porti1e", ""},
		{"announce_peer", idArg + infoHashArg + "4:port2:no" + tokenArg + "12:implied_porti1e", ""},
		{"announce_peer", idArg + infoHashArg + tokenArg + "12:implied_porti0e", "203 missing argument port"},
		{"announce_peer", idArg + infoHashArg + portArg + tokenArg + "12:implied_port1:1", "203 invalid argument implied_port"},
		{"announce_peer", idArg + infoHashArg + portArg + tokenArg + "4:seedle", "203 invalid argument seed"},

		{"get", idArg + targetArg, ""},
		{"get", idArg + targetArg + "3:seqi4e", ""},
		{"get", idArg, "203 missing argument target"},
		{"get", idArg + targetArg + "3:seq1:4", "203 invalid argument seq"},

		{"sample_infohashes", idArg + targetArg, ""},
		{"sample_infohashes", idArg, "203 missing argument target"},

		{"vote", idArg + targetArg, ""}, // answered as find_node
		{"vote", idArg + infoHashArg, ""},
		{"vote", idArg, "204 method unknown"},
		{"vote", idArg + "6:target1:x", "204 method unknown"},
		{"vote", targetArg, "203 missing argument id"},
	} {
		c.run(t)
	}
}

func TestCheckPut(t *testing.T) {
	k := "1:k32:" + strings.Repeat("k", 32)
	sig := "3:sig64:" + strings.Repeat("s", 64)
	put := idArg + tokenArg + "1:v1:x"
	for _, c := range []argsCheck{
		{"put", put, ""},
		{"put", idArg + tokenArg, "203 missing argument v"},
		{"put", idArg + "1:v1:x", "203 missing argument token"},
		{"put", put + k + sig + "3:seqi0e", ""},
		{"put", put + k + sig + "3:seqi0e3:casi0e4:salt0:", ""},
		{"put", put + k + sig, "203 missing argument seq"},
		{"put", put + k + "3:seqi0e", "203 missing argument sig"},
		{"put", put + sig + "3:seqi0e", "203 missing argument k"},
		{"put", put + "3:seqi0e", ""},
		{"put", put + k, "203 missing argument sig"},
		{"put", put + k + sig + "3:seqi-1e", "203 invalid argument seq"},
		{"put", put + "1:k0:", "203 invalid argument k"},
		{"put", put + "3:sig3:abc", "203 invalid argument sig"},
		{"put", put + k + sig + "3:seqi0e4:salti1e", "203 invalid argument salt"},
		{"put", put + k + sig + "3:seqi0e3:cas1:0", "203 invalid argument cas"},
	} {
		c.run(t)
	}
}

func TestCheckQueryWithoutMethod(t *testing.T) {
	for _, q := range []string{"", "1:qi1e", "1:ql4:pinge"} {
		for _, args := range []string{"", "1:ad2:id20:" + idA + "e", "1:ad2:id20:" + idA + "6:target20:" + idM + "e"} {
			if err := decode(t, "d"+args+q+"1:t2:aa1:y1:qe").CheckQuery(); err != errNoMethod {
				t.Errorf("%q with %q: %v", q, args, err)
			}
		}
	}
}

func TestCheckQueryWithoutArguments(t *testing.T) {
	for _, packet := range []string{"d1:q4:ping1:t2:aa1:y1:qe", "d1:ai1e1:q4:ping1:t2:aa1:y1:qe"} {
		if err := decode(t, packet).CheckQuery(); err != errNoArgs {
			t.Errorf("%s: %v", packet, err)
		}
	}
}

// The names are indexed by the bits of Arg.
func TestArgNames(t *testing.T) {
	if Arg(1)<<(len(argNames)-1) != ArgTTL {
		t.Errorf("%d names, but the last Arg is %b", len(argNames), ArgTTL)
	}
	for i, name := range argNames {
		if name == "v" { // has no type to get wrong
			continue
		}
		m := decode(t, fmt.Sprintf("d1:ad%d:%sdee1:t2:aa1:y1:qe", len(name), name))
		if want := Arg(1) << i; m.Malformed != want {
			t.Errorf("an ill-formed %s sets %b, want %b", name, m.Malformed, want)
		}
	}
}

func TestCheckQueryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	good, bad := decode(t, golden[8].packet), decodeArgs(t, "")
	bad.Method = MethodPut
	if n := testing.AllocsPerRun(100, func() {
		if good.CheckQuery() != nil || bad.CheckQuery() == nil {
			t.Fatal("wrong verdict")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

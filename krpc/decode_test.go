package krpc

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// decode reads packet, which must be a KRPC message.
func decode(t *testing.T, packet string) *Message {
	t.Helper()
	var m Message
	if err := m.Decode([]byte(packet)); err != nil {
		t.Fatalf("Decode(%q): %v", packet, err)
	}
	return &m
}

// decodeArgs reads a query with the given arguments, beside an id, and returns
// what they were read as.
func decodeArgs(t *testing.T, args string) *Message {
	t.Helper()
	m := decode(t, "d1:ad2:id20:"+idA+args+"e1:q4:ping1:t2:aa1:y1:qe")
	if !m.HasID || m.NoArgs {
		t.Errorf("%q: lost the id", args)
	}
	return m
}

func TestDecodeGolden(t *testing.T) {
	for _, g := range golden {
		if m := decode(t, g.packet); !reflect.DeepEqual(m, &g.msg) {
			t.Errorf("%s:\n got %+v\nwant %+v", g.name, m, &g.msg)
		}
	}
}

func TestDecodeForgetsWhatItHeld(t *testing.T) {
	var m Message
	for _, g := range golden {
		if err := m.Decode([]byte(g.packet)); err != nil || !reflect.DeepEqual(m, g.msg) {
			t.Errorf("%s: got %+v, %v", g.name, m, err)
		}
	}
	if err := m.Decode([]byte("d1:t2:aa")); err != ErrNotKRPC || !reflect.DeepEqual(m, Message{}) {
		t.Errorf("after a broken packet: %+v, %v", m, err)
	}
}

func TestDecodeTruncated(t *testing.T) {
	for _, g := range golden {
		for n := range len(g.packet) {
			var m Message
			if err := m.Decode([]byte(g.packet[:n])); err != ErrNotKRPC {
				t.Fatalf("%s: the first %d bytes: %v", g.name, n, err)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "3:%03di0e", i)
		}
		return b.String()
	}
	for name, packet := range map[string]string{
		"nothing":              "",
		"an integer":           "i1e",
		"a list":               "l1:t2:aa1:y1:qe",
		"a stray e":            "e",
		"the empty dictionary": "de",
		"no t":                 "d1:y1:qe",
		"an empty t":           "d1:t0:1:y1:qe",
		"a t of 33 bytes":      "d1:t33:" + strings.Repeat("t", 33) + "1:y1:qe",
		"t an integer":         "d1:ti1e1:y1:qe",
		"t a list":             "d1:tl2:aae1:y1:qe",
		"t spoilt by another":  "d1:t2:aa1:ti1e1:y1:qe",
		"no y":                 "d1:t2:aae",
		"y x":                  "d1:t2:aa1:y1:xe",
		"y two letters":        "d1:t2:aa1:y2:qqe",
		"y an integer":         "d1:t2:aa1:yi1ee",
		"an open value":        "d1:t2:aa1:xl1:y1:qe",
		"a broken integer":     "d1:t2:aa1:xi-0e1:y1:qe",
		"a length with zeros":  "d1:t02:aa1:y1:qe",
		"an integer as key":    "di1e2:aa1:t2:aa1:y1:qe",
		"deep in an argument":  "d1:ad1:x" + strings.Repeat("l", 63) + strings.Repeat("e", 63) + "e1:t2:aa1:y1:qe",
		"broken reply's args":  "d1:ade1:rd2:id20:shorte1:t2:aa1:y1:qe",
		"broken arguments":     "d1:ad2:id20:shorte1:t2:aa1:y1:qe",
	} {
		var m Message
		if err := m.Decode([]byte(packet)); err != ErrNotKRPC {
			t.Errorf("%s: %v, want ErrNotKRPC", name, err)
		}
	}
	for name, packet := range map[string]string{
		"t of 1 byte":        "d1:t1:a1:y1:qe",
		"t of 32 bytes":      "d1:t32:" + strings.Repeat("t", 32) + "1:y1:qe",
		"trailing bytes":     "d1:t2:aa1:y1:qe\r\n",
		"unsorted keys":      "d1:y1:q1:t2:aae",
		"a mended t":         "d1:ti1e1:t2:aa1:y1:qe",
		"many keys":          "d" + keys(200) + "1:t2:aa1:y1:qe",
		"many arguments":     "d1:ad" + keys(200) + "e1:t2:aa1:y1:qe",
		"64 levels":          "d1:ad1:x" + strings.Repeat("l", 62) + strings.Repeat("e", 62) + "e1:t2:aa1:y1:qe",
		"an integer too big": "d1:t2:aa1:xi" + strings.Repeat("9", 40) + "e1:y1:qe",
	} {
		var m Message
		if err := m.Decode([]byte(packet)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeLastKeyWins(t *testing.T) {
	m := decode(t, "d1:ad2:id20:"+idA+"2:id20:"+idM+"4:porti0e4:porti80e5:token1:a5:tokeni1ee"+
		"1:q4:ping1:q9:find_node1:t2:aa1:t2:bb1:y1:r1:y1:qe")
	if m.Kind != KindQuery || m.Method != MethodFindNode || string(m.TID) != "bb" || m.ID != idOf(idM) {
		t.Errorf("got %+v", m)
	}
	if m.Port != 80 || m.Token != nil || m.Malformed != ArgToken {
		t.Errorf("port %d, token %q, malformed %b", m.Port, m.Token, m.Malformed)
	}
	m = decode(t, "d1:ad2:id20:"+idA+"4:porti80ee1:ad2:id20:"+idM+"e1:q4:ping1:t2:aa1:y1:qe")
	if m.ID != idOf(idM) || m.Port != 0 {
		t.Errorf("a second dictionary of arguments was mixed into the first: %+v", m)
	}
}

func TestDecodeNoArgs(t *testing.T) {
	const args = "d2:id20:" + idA + "e"
	for _, c := range []struct {
		packet string
		noArgs bool
	}{
		{"d1:a" + args + "1:t2:aa1:y1:qe", false},
		{"d1:r" + args + "1:t2:aa1:y1:re", false},
		{"d1:ade1:t2:aa1:y1:qe", false},
		{"d1:t2:aa1:y1:qe", true},
		{"d1:t2:aa1:y1:re", true},
		{"d1:a2:xx1:t2:aa1:y1:qe", true},
		{"d1:rle1:t2:aa1:y1:re", true},
		{"d1:r" + args + "1:t2:aa1:y1:qe", true},
		{"d1:a" + args + "1:t2:aa1:y1:re", true},
		{"d1:a" + args + "1:r" + args + "1:t2:aa1:y1:qe", false},
		{"d1:a" + args + "1:r" + args + "1:t2:aa1:y1:re", false},
		{"d1:r" + args + "1:a" + args + "1:t2:aa1:y1:re", false},
		{"d1:a" + args + "1:rle1:t2:aa1:y1:re", true},
		{"d1:r" + args + "1:a2:xx1:t2:aa1:y1:qe", true},
		{"d1:eli201e0:e1:t2:aa1:y1:ee", false}, // an error has no arguments to lack
	} {
		m := decode(t, c.packet)
		if m.NoArgs != c.noArgs {
			t.Errorf("%q: NoArgs %v", c.packet, m.NoArgs)
		}
		if m.NoArgs && m.HasID {
			t.Errorf("%q: took the id of the wrong dictionary", c.packet)
		}
	}
}

// Which of "a" and "r" counts is the kind's to say, whatever the order.
func TestDecodeArgsOfTheKind(t *testing.T) {
	const (
		a = "1:ad2:id20:" + idA + "4:porti80ee"
		r = "1:rd2:id20:" + idM + "5:token1:xe"
		q = "1:q4:ping"
	)
	query := Message{Kind: KindQuery, Method: MethodPing, TID: []byte("aa"), HasID: true, ID: idOf(idA), Port: 80}
	reply := Message{Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idM), Token: []byte("x")}
	for _, before := range []string{a + r, r + a, r + a + r, "1:ri1e" + a + r, "1:ai1e" + r + a} {
		for kind, want := range map[string]Message{"q": query, "r": reply} {
			packet := "d" + before + q + "1:t2:aa1:y1:" + kind + "e"
			if m := decode(t, packet); !reflect.DeepEqual(m, &want) {
				t.Errorf("%q:\n got %+v\nwant %+v", packet, m, want)
			}
		}
	}
	m := decode(t, "d"+r+a+"1:rd2:id20:"+id0+"e1:t2:aa1:y1:re")
	if m.ID != idOf(id0) || m.Token != nil || m.Port != 0 {
		t.Errorf("not the last of the replies' dictionaries alone: %+v", m)
	}
	m = decode(t, "d"+a+"1:eli204e3:hume"+r+"1:t2:aa1:y1:re")
	if m.Kind != KindReply || m.ID != idOf(idM) {
		t.Errorf("an error was seen in a reply that has its values: %+v", m)
	}
	m = decode(t, "d"+a+r+"1:eli204e3:hume1:t2:aa1:y1:ee")
	if m.HasID || m.Port != 0 || m.Token != nil {
		t.Errorf("an error has arguments: %+v", m)
	}
}

func TestDecodeNoMethod(t *testing.T) {
	for _, c := range []struct {
		q, y string
		want bool
	}{
		{"", "q", true}, {"1:qi1e", "q", true}, {"1:ql4:pinge", "q", true}, {"1:q4:ping1:qi1e", "q", true},
		{"1:q4:ping", "q", false}, {"1:q0:", "q", false}, {"1:q4:vote", "q", false}, {"1:qi1e1:q4:ping", "q", false},
		{"", "r", false}, {"1:qi1e", "r", false}, {"", "e", false},
	} {
		m := decode(t, "d1:ade"+c.q+"1:rde1:t2:aa1:y1:"+c.y+"e")
		if m.NoMethod != c.want {
			t.Errorf("%q in a %s: NoMethod %v", c.q, c.y, m.NoMethod)
		}
		if m.NoMethod && m.Method != MethodUnknown {
			t.Errorf("%q in a %s: no method, but %v", c.q, c.y, m.Method)
		}
	}
}

func TestDecodeMethod(t *testing.T) {
	for m := range Method(NumMethods) {
		packet := fmt.Sprintf("d1:ade1:q%d:%s1:t2:aa1:y1:qe", len(m.String()), m)
		if got := decode(t, packet).Method; got != m {
			t.Errorf("%v was read as %v", m, got)
		}
	}
	for _, q := range []string{"", "1:q0:", "1:q4:PING", "1:qi1e", "1:ql4:pinge"} {
		if got := decode(t, "d1:ade"+q+"1:t2:aa1:y1:qe").Method; got != MethodUnknown {
			t.Errorf("%q was read as %v", q, got)
		}
	}
	if got := decode(t, "d1:q4:ping1:rde1:t2:aa1:y1:re").Method; got != MethodUnknown {
		t.Errorf("a reply is %v", got)
	}
}

func TestDecodeError(t *testing.T) {
	for _, c := range []struct {
		e    string
		code int64
		text string
	}{
		{"", 201, ""},
		{"1:eli204e3:hume", 204, "hum"},
		{"1:eli204ee", 204, ""},
		{"1:el3:hume", 201, "hum"},
		{"1:e3:hum", 201, "hum"},
		{"1:ele", 201, ""},
		{"1:ei204e", 201, ""},
		{"1:ede", 201, ""},
		{"1:eli204e3:huml1:aei5e1:be", 204, "hum"},
		{"1:ell1:ae3:hume", 201, "hum"},
		{"1:eli99999999999999999999e3:hume", 201, "hum"},
		{"1:eli-5e3:hume", -5, "hum"},
		{"1:eli204e3:hume1:e1:x", 201, "x"},
	} {
		m := decode(t, "d"+c.e+"1:rd2:id20:"+idA+"e1:t2:aa1:y1:ee")
		if m.Kind != KindError || m.ErrorCode != c.code || string(m.ErrorText) != c.text || m.HasID {
			t.Errorf("%q: got %d %q, %+v", c.e, m.ErrorCode, m.ErrorText, m)
		}
	}
}

func TestDecodeErrorSentAsReply(t *testing.T) {
	m := decode(t, "d1:eli204e3:hume1:t2:aa1:y1:re")
	if m.Kind != KindError || m.ErrorCode != 204 || string(m.ErrorText) != "hum" || m.NoArgs {
		t.Errorf("without r: %+v", m)
	}
	m = decode(t, "d1:eli204e3:hume1:rd2:id20:"+idA+"e1:t2:aa1:y1:re")
	if m.Kind != KindReply || m.ErrorCode != 0 || m.ErrorText != nil || !m.HasID {
		t.Errorf("with r: %+v", m)
	}
	m = decode(t, "d1:ade1:eli204e3:hume1:t2:aa1:y1:qe")
	if m.Kind != KindQuery || m.ErrorCode != 0 || m.ErrorText != nil {
		t.Errorf("on a query: %+v", m)
	}
}

func TestDecodeIP(t *testing.T) {
	const v6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	const mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01"
	for _, c := range []struct{ ip, want string }{
		{"6:\x0a\x00\x00\x01\x1a\xe1", "10.0.0.1:6881"},
		{"4:\x0a\x00\x00\x01", "10.0.0.1:0"},
		{"18:" + v6 + "\x1a\xe1", "[2001:db8::1]:6881"},
		{"16:" + v6, "[2001:db8::1]:0"},
		{"18:" + mapped + "\x1a\xe1", "10.0.0.1:6881"},
		{"16:" + mapped, "10.0.0.1:0"},
		{"0:", ""}, {"5:abcde", ""}, {"8:10.0.0.1", ""}, {"i5e", ""}, {"le", ""},
	} {
		want, _ := netip.ParseAddrPort(c.want)
		m := decode(t, "d2:ip"+c.ip+"1:rde1:t2:aa1:y1:re")
		if m.IP != want {
			t.Errorf("%q: got %v, want %q", c.ip, m.IP, c.want)
		}
	}
}

func TestDecodeReadOnly(t *testing.T) {
	for _, c := range []struct {
		ro, y string
		want  bool
	}{
		{"i1e", "q", true}, {"i0e", "q", false}, {"i2e", "q", false}, {"1:1", "q", false},
		{"i1e", "r", false}, {"i1e", "e", false},
	} {
		if m := decode(t, "d2:ro"+c.ro+"1:t2:aa1:y1:"+c.y+"e"); m.ReadOnly != c.want {
			t.Errorf("ro %s of y=%s: %v", c.ro, c.y, m.ReadOnly)
		}
	}
}

func TestDecodeWant(t *testing.T) {
	for _, c := range []struct {
		want string
		w    Want
	}{
		{"l2:n4e", WantN4}, {"l2:n6e", WantN6}, {"l2:n62:n4e", WantN4 | WantN6}, {"l2:n42:n4e", WantN4},
		{"l2:n52:n6i4el2:n4ee", WantN6}, {"2:n6", WantN6}, {"2:n4", WantN4}, {"le", 0}, {"2:xx", 0},
		{"i4e", 0}, {"d2:n42:n6e", 0}, {"l2:n6e4:wantl2:n4e", WantN4},
	} {
		if m := decodeArgs(t, "4:want"+c.want); m.Want != c.w || m.Malformed != 0 {
			t.Errorf("want %s: got %b, malformed %b", c.want, m.Want, m.Malformed)
		}
	}
}

func TestDecodeValues(t *testing.T) {
	for _, c := range []struct {
		values string
		want   []byte
		packed bool
		bad    Arg
	}{
		{"l6:abcdef6:ghijkle", []byte("6:abcdef6:ghijkl"), false, 0},
		{"le", []byte{}, false, 0},
		{"l3:abce", []byte("3:abc"), false, 0},
		{"12:abcdefghijkl", []byte("abcdefghijkl"), true, 0},
		{"i1e", nil, false, ArgValues},
		{"l6:abcdefi1ee", []byte("6:abcdefi1e"), false, 0}, // EachPeer skips the integer
		{"ll6:abcdefee", []byte("l6:abcdefe"), false, 0},
		{"6:abcdef6:valuesl6:ghijkle", []byte("6:ghijkl"), false, 0},
		{"l6:ghijkle6:values6:abcdef", []byte("abcdef"), true, 0},
	} {
		m := decodeArgs(t, "6:values"+c.values)
		if !reflect.DeepEqual(m.Values, c.want) || m.PackedValues != c.packed || m.Malformed != c.bad {
			t.Errorf("%s: got %q, packed %v, malformed %b", c.values, m.Values, m.PackedValues, m.Malformed)
		}
	}
}

func TestDecodeFlags(t *testing.T) {
	for key, arg := range map[string]Arg{
		"12:implied_port": ArgImpliedPort, "4:seed": ArgSeed, "6:noseed": ArgNoSeed, "6:scrape": ArgScrape,
	} {
		get := func(m *Message) bool {
			return map[Arg]bool{
				ArgImpliedPort: m.ImpliedPort, ArgSeed: m.Seed, ArgNoSeed: m.NoSeed, ArgScrape: m.Scrape,
			}[arg]
		}
		any := arg == ArgImpliedPort // BEP 5: "present and non-zero"; BEP 33: 1
		for value, want := range map[string]bool{"i1e": true, "i0e": false, "i7e": any, "i-1e": any} {
			if m := decodeArgs(t, key+value); get(m) != want || m.Malformed != 0 {
				t.Errorf("%s %s: %v, malformed %b", key, value, get(m), m.Malformed)
			}
		}
		for _, value := range []string{"1:1", "le", "i18446744073709551616e"} {
			if m := decodeArgs(t, key+value); get(m) || m.Malformed != arg {
				t.Errorf("%s %s: %v, malformed %b", key, value, get(m), m.Malformed)
			}
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	for _, c := range []struct {
		arg   Arg
		key   string
		right string
		wrong []string
	}{
		{ArgTarget, "6:target", "20:" + idA, []string{"i1e", "0:", "19:" + idA[1:], "21:x" + idA}},
		{ArgInfoHash, "9:info_hash", "20:" + idA, []string{"le", "40:" + idA + idM}},
		{ArgPort, "4:port", "i65535e", []string{"i0e", "i-1e", "i65536e", "4:6881", "i99999999999999999999e"}},
		{ArgToken, "5:token", "0:", []string{"i1e", "l1:ae"}},
		{ArgK, "1:k", "32:" + strings.Repeat("k", 32), []string{"0:", "20:" + idA, "i1e"}},
		{ArgSig, "3:sig", "64:" + strings.Repeat("k", 64), []string{"32:" + strings.Repeat("k", 32), "de"}},
		{ArgSalt, "4:salt", "65:" + strings.Repeat("s", 65), []string{"i1e"}},
		{ArgSeq, "3:seq", "i-1e", []string{"1:1", "i9223372036854775808e"}},
		{ArgCas, "3:cas", "i0e", []string{"1:1", "le"}},
		{ArgTTL, "3:ttl", "i7200e", []string{"4:7200", "de"}},
		{ArgNodes, "5:nodes", "3:abc", []string{"l3:abce", "i0e"}},
		{ArgNodes6, "6:nodes6", "3:abc", []string{"le", "i0e"}},
		{ArgBFsd, "4:BFsd", "256:" + strings.Repeat("b", 256), []string{"0:", "255:" + strings.Repeat("b", 255)}},
		{ArgBFsd, "4:BFse", "256:" + strings.Repeat("b", 256), []string{"le"}},
		{ArgBFpe, "4:BFpe", "256:" + strings.Repeat("b", 256), []string{"i1e"}},
		{ArgSamples, "7:samples", "0:", []string{"l20:" + idA + "e"}},
		{ArgInterval, "8:interval", "i300e", []string{"3:300"}},
		{ArgNum, "3:num", "i300e", []string{"3:300"}},
	} {
		if m := decodeArgs(t, c.key+c.right); m.Malformed != 0 {
			t.Errorf("%s %s: malformed %b", c.key, c.right, m.Malformed)
		}
		for _, wrong := range c.wrong {
			m, want := decodeArgs(t, c.key+c.right+c.key+wrong), *decodeArgs(t, "")
			want.Malformed = c.arg
			if !reflect.DeepEqual(m, &want) {
				t.Errorf("%s %s: got %+v, want the field absent and malformed %b", c.key, wrong, m, c.arg)
			}
		}
	}
	m := decode(t, "d1:ad2:id19:"+idA[1:]+"e1:q4:ping1:t2:aa1:y1:qe")
	if m.HasID || m.ID != (ID{}) || m.Malformed != ArgID || m.NoArgs {
		t.Errorf("a short id: %+v", m)
	}
}

func TestDecodeSeedsUnderEitherName(t *testing.T) {
	bloom := strings.Repeat("b", 256)
	for _, key := range []string{"4:BFsd", "4:BFse"} {
		if m := decodeArgs(t, key+"256:"+bloom); string(m.BFsd) != bloom {
			t.Errorf("%s: got %q", key, m.BFsd)
		}
	}
}

func TestDecodeKeepsItemVerbatim(t *testing.T) {
	for _, v := range []string{"0:", "i1e", "le", "d1:b0:1:a0:e", "ld1:ali1eeee"} {
		if m := decodeArgs(t, "1:v"+v); string(m.V) != v {
			t.Errorf("v %s: got %q", v, m.V)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, p := range hotPackets() {
		var m Message
		if n := testing.AllocsPerRun(100, func() {
			if m.Decode(p.packet) != nil {
				t.Fatal(p.name)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

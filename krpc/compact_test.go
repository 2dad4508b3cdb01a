package krpc

import (
	"net/netip"
	"slices"
	"testing"
)

func addrs(ss ...string) (as []netip.AddrPort) {
	for _, s := range ss {
		as = append(as, netip.MustParseAddrPort(s))
	}
	return as
}

func TestCompactAddr(t *testing.T) {
	for _, c := range []struct{ in, bytes, out string }{
		{"10.0.0.1:6881", "\x0a\x00\x00\x01\x1a\xe1", "10.0.0.1:6881"},
		{"[::ffff:10.0.0.1]:6881", "\x0a\x00\x00\x01\x1a\xe1", "10.0.0.1:6881"},
		{"[fe80::1%eth0]:1", "\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", "[fe80::1]:1"},
	} {
		b := AppendCompactAddr(nil, netip.MustParseAddrPort(c.in))
		if string(b) != c.bytes {
			t.Errorf("%s: got %q", c.in, b)
		}
		if a, ok := ParseCompactAddr(b); !ok || a.String() != c.out {
			t.Errorf("%s: read back as %v, %v", c.in, a, ok)
		}
	}
	for n := range 40 {
		want := n == 4 || n == 6 || n == 16 || n == 18
		if _, ok := ParseCompactAddr(make([]byte, n)); ok != want {
			t.Errorf("an address of %d bytes: %v", n, ok)
		}
	}
	if b := AppendCompactAddr(nil, netip.AddrPort{}); len(b) != addr6Len {
		t.Errorf("no address: %q", b)
	}
}

func TestAppendNodeAndPeer(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.0.0.1:6881"), netip.MustParseAddrPort("[2001:db8::1]:6881")
	id := idOf(idA)
	if b := AppendNode(nil, NodeInfo{id, v4}); string(b) != idA+"\x0a\x00\x00\x01\x1a\xe1" {
		t.Errorf("IPv4 node: %q", b)
	}
	if b := AppendNode(nil, NodeInfo{id, v6}); len(b) != 38 || string(b[:20]) != idA || b[20] != 0x20 {
		t.Errorf("IPv6 node: %q", b)
	}
	if b := AppendPeer(nil, v4); string(b) != "6:\x0a\x00\x00\x01\x1a\xe1" {
		t.Errorf("IPv4 peer: %q", b)
	}
	if b := AppendPeer(nil, v6); len(b) != 21 || string(b[:3]) != "18:" {
		t.Errorf("IPv6 peer: %q", b)
	}
}

func TestEachNode(t *testing.T) {
	var m Message
	for i, a := range addrs("1.2.3.4:1", "1.2.3.4:0", "0.0.0.0:1", "5.6.7.8:2") {
		m.Nodes = AppendNode(m.Nodes, NodeInfo{ID{byte(i)}, a})
	}
	for i, a := range addrs("[2001:db8::1]:3", "[::]:1", "[2001:db8::2]:0", "[2001:db8::3]:4") {
		m.Nodes6 = AppendNode(m.Nodes6, NodeInfo{ID{byte(i + 4)}, a})
	}
	mapped := netip.MustParseAddr("::ffff:9.9.9.9").As16()
	m.Nodes6 = append(m.Nodes6, make([]byte, IDLen)...)
	m.Nodes6 = append(append(m.Nodes6, mapped[:]...), 0, 1)
	m.Nodes = append(m.Nodes, "a torn tail"...)
	m.Nodes6 = append(m.Nodes6, "a torn tail of less than 38 bytes"...)

	want := []NodeInfo{
		{ID{0}, netip.MustParseAddrPort("1.2.3.4:1")}, {ID{3}, netip.MustParseAddrPort("5.6.7.8:2")},
		{ID{4}, netip.MustParseAddrPort("[2001:db8::1]:3")}, {ID{7}, netip.MustParseAddrPort("[2001:db8::3]:4")},
	}
	var got []NodeInfo
	for n := range m.EachNode {
		got = append(got, n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for stop := 1; stop <= len(want); stop++ {
		got = got[:0]
		m.EachNode(func(n NodeInfo) bool { got = append(got, n); return len(got) < stop })
		if !slices.Equal(got, want[:stop]) {
			t.Errorf("stopped after %d: got %v", stop, got)
		}
	}
}

func TestEachPeer(t *testing.T) {
	var list Message
	for _, a := range addrs("1.2.3.4:1", "1.2.3.4:0", "[2001:db8::1]:2", "0.0.0.0:9", "[::]:9") {
		list.Values = AppendPeer(list.Values, a)
	}
	list.Values = append(list.Values, "0:4:abcd7:abcdefg26:"+idA+"abcdef"...)
	list.Values = append(list.Values, "i6el6:abcdefed6:abcdef6:abcdefe"...)
	mapped := netip.MustParseAddr("::ffff:9.9.9.9").As16()
	list.Values = append(append(append(list.Values, "18:"...), mapped[:]...), 0, 3)
	list.Values = AppendPeer(list.Values, netip.MustParseAddrPort("5.6.7.8:4"))
	packed := Message{PackedValues: true, Values: []byte("\x01\x02\x03\x04\x00\x01" +
		"\x01\x02\x03\x04\x00\x00" + "\x00\x00\x00\x00\x00\x01" + "\x05\x06\x07\x08\x00\x02" + "torn")}

	for name, c := range map[string]struct {
		m    *Message
		want []netip.AddrPort
	}{
		"list":        {&list, addrs("1.2.3.4:1", "[2001:db8::1]:2", "9.9.9.9:3", "5.6.7.8:4")},
		"packed":      {&packed, addrs("1.2.3.4:1", "5.6.7.8:2")},
		"none":        {&Message{}, nil},
		"not bencode": {&Message{Values: []byte("6:abcdef\xff\xff")}, addrs("97.98.99.100:25958")},
	} {
		var got []netip.AddrPort
		for a := range c.m.EachPeer {
			got = append(got, a)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		for stop := 1; stop <= len(c.want); stop++ {
			got = got[:0]
			c.m.EachPeer(func(a netip.AddrPort) bool { got = append(got, a); return len(got) < stop })
			if !slices.Equal(got, c.want[:stop]) {
				t.Errorf("%s, stopped after %d: got %v", name, stop, got)
			}
		}
	}
}

func TestIterationAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := getPeersReply(50)
	if n := testing.AllocsPerRun(100, func() {
		nodes, peers := 0, 0
		for range m.EachNode {
			nodes++
		}
		for range m.EachPeer {
			peers++
		}
		if nodes != 8 || peers != 50 {
			t.Fatalf("%d nodes, %d peers", nodes, peers)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

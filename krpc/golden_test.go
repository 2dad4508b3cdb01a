package krpc

import (
	"net/netip"
	"strings"
)

const (
	idA = "abcdefghij0123456789"
	idM = "mnopqrstuvwxyz123456"
	id0 = "0123456789abcdefghij"
)

func idOf(s string) ID { return ID([]byte(s)) }

// golden are messages beside the bytes that they are encoded as.
var golden = []struct {
	name   string
	packet string
	msg    Message
}{
	// The examples of BEP 5, byte for byte.
	{
		"BEP 5 error", "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
		Message{Kind: KindError, TID: []byte("aa"), ErrorCode: 201, ErrorText: []byte("A Generic Error Ocurred")},
	},
	{
		"BEP 5 ping query", "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
		Message{Kind: KindQuery, Method: MethodPing, TID: []byte("aa"), HasID: true, ID: idOf(idA)},
	},
	{
		"BEP 5 ping reply", "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
		Message{Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idM)},
	},
	{
		"BEP 5 find_node query",
		"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
		Message{
			Kind: KindQuery, Method: MethodFindNode, TID: []byte("aa"),
			HasID: true, ID: idOf(idA), HasTarget: true, Target: idOf(idM),
		},
	},
	{
		"BEP 5 find_node reply", "d1:rd2:id20:0123456789abcdefghij5:nodes9:def456...e1:t2:aa1:y1:re",
		Message{Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(id0), Nodes: []byte("def456...")},
	},
	{
		"BEP 5 get_peers query",
		"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
		Message{
			Kind: KindQuery, Method: MethodGetPeers, TID: []byte("aa"),
			HasID: true, ID: idOf(idA), HasInfoHash: true, InfoHash: idOf(idM),
		},
	},
	{
		"BEP 5 get_peers reply with peers",
		"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
		Message{
			Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idA),
			Token: []byte("aoeusnth"), Values: []byte("6:axje.u6:idhtnm"),
		},
	},
	{
		"BEP 5 get_peers reply with nodes",
		"d1:rd2:id20:abcdefghij01234567895:nodes9:def456...5:token8:aoeusnthe1:t2:aa1:y1:re",
		Message{
			Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idA),
			Nodes: []byte("def456..."), Token: []byte("aoeusnth"),
		},
	},
	{
		"BEP 5 announce_peer query",
		"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e" +
			"5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
		Message{
			Kind: KindQuery, Method: MethodAnnouncePeer, TID: []byte("aa"), HasID: true, ID: idOf(idA),
			ImpliedPort: true, HasInfoHash: true, InfoHash: idOf(idM), Port: 6881, Token: []byte("aoeusnth"),
		},
	},
	// One for each of the BEPs behind it.
	{
		"BEP 32 get_peers query, BEP 33 flags, BEP 43",
		"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:noseedi1e6:scrapei1e" +
			"4:wantl2:n42:n6ee1:q9:get_peers2:roi1e1:t4:tttt1:v4:KN011:y1:qe",
		Message{
			Kind: KindQuery, Method: MethodGetPeers, TID: []byte("tttt"), Version: []byte("KN01"), ReadOnly: true,
			HasID: true, ID: idOf(idA), HasInfoHash: true, InfoHash: idOf(idM),
			NoSeed: true, Scrape: true, Want: WantN4 | WantN6,
		},
	},
	{
		"BEP 33 scrape reply",
		"d1:rd4:BFpe256:" + strings.Repeat("p", 256) + "4:BFsd256:" + strings.Repeat("s", 256) +
			"2:id20:abcdefghij0123456789e1:t2:aa1:y1:re",
		Message{
			Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idA),
			BFpe: []byte(strings.Repeat("p", 256)), BFsd: []byte(strings.Repeat("s", 256)),
		},
	},
	{
		"BEP 42 ip, IPv4", "d2:ip6:\x7f\x00\x00\x01\x1a\xe11:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re",
		Message{
			Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idA),
			IP: netip.MustParseAddrPort("127.0.0.1:6881"),
		},
	},
	{
		"BEP 42 ip, IPv6, on an error",
		"d1:eli203e3:bade2:ip18:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe11:t2:aa1:y1:ee",
		Message{
			Kind: KindError, TID: []byte("aa"), IP: netip.MustParseAddrPort("[2001:db8::1]:6881"),
			ErrorCode: 203, ErrorText: []byte("bad"),
		},
	},
	{
		"BEP 44 put of a mutable item",
		"d1:ad3:casi0e2:id20:abcdefghij01234567891:k32:" + strings.Repeat("k", 32) + "4:salt3:abc3:seqi-1e3:sig64:" +
			strings.Repeat("s", 64) + "5:token2:tk1:vl1:ai1eee1:q3:put1:t2:aa1:y1:qe",
		Message{
			Kind: KindQuery, Method: MethodPut, TID: []byte("aa"), HasID: true, ID: idOf(idA), HasCas: true,
			HasSeq: true, Seq: -1, K: []byte(strings.Repeat("k", 32)), Salt: []byte("abc"),
			Sig: []byte(strings.Repeat("s", 64)), Token: []byte("tk"), V: []byte("l1:ai1ee"),
		},
	},
	{
		"BEP 51 samples, none",
		"d1:rd2:id20:abcdefghij01234567898:intervali300e6:nodes60:3:numi7e7:samples0:e1:t2:aa1:y1:re",
		Message{
			Kind: KindReply, TID: []byte("aa"), HasID: true, ID: idOf(idA), Nodes6: []byte{},
			Interval: 300, Num: 7, Samples: []byte{},
		},
	},
}

// getPeersReply returns a reply with n peers, two in three of them IPv4, and
// eight nodes.
func getPeersReply(n int) *Message {
	m := &Message{
		Kind: KindReply, TID: []byte("abcd"), Version: []byte("KN01"), HasID: true, ID: idOf(idA),
		IP: netip.MustParseAddrPort("198.51.100.7:6881"), Token: []byte("aoeusnth"),
	}
	for i := range n {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 6881)
		if i%3 == 2 {
			a = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}), 6881)
		}
		m.Values = AppendPeer(m.Values, a)
	}
	for i := range 8 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), 6881)
		m.Nodes = AppendNode(m.Nodes, NodeInfo{ID: ID{byte(i)}, Addr: a})
	}
	return m
}

package krpc

import (
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// libMessage is a message for the library's reflection, the reference of these
// benchmarks. It holds only what the two packets need.
type libMessage struct {
	A *libArgs `bencode:"a,omitempty"`
	I string   `bencode:"ip,omitempty"`
	Q string   `bencode:"q,omitempty"`
	R *libArgs `bencode:"r,omitempty"`
	T string   `bencode:"t"`
	V string   `bencode:"v,omitempty"`
	Y string   `bencode:"y"`
}

type libArgs struct {
	ID       string   `bencode:"id"`
	InfoHash string   `bencode:"info_hash,omitempty"`
	Nodes    string   `bencode:"nodes,omitempty"`
	Token    string   `bencode:"token,omitempty"`
	Values   []string `bencode:"values,omitempty"`
	Want     []string `bencode:"want,omitempty"`
}

var benchPackets = []struct {
	name   string
	packet func() []byte
}{
	{"get_peers", func() []byte {
		m := Message{
			Kind: KindQuery, Method: MethodGetPeers, TID: []byte("abcd"), Version: []byte("KN01"),
			HasID: true, ID: idOf(idA), HasInfoHash: true, InfoHash: idOf(idM), Want: WantN4,
		}
		return m.Append(nil)
	}},
	{"50values", func() []byte { return getPeersReply(50).Append(nil) }},
}

func BenchmarkDecode(b *testing.B) {
	for _, p := range benchPackets {
		packet := p.packet()
		b.Run(p.name+"/krpc", func(b *testing.B) {
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Decode(packet); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/library", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var m libMessage
				if err := bencode.Unmarshal(packet, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, p := range benchPackets {
		packet := p.packet()
		b.Run(p.name+"/krpc", func(b *testing.B) {
			var m Message
			if err := m.Decode(packet); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, MaxDatagram)
			b.ReportAllocs()
			for b.Loop() {
				m.Append(buf)
			}
		})
		b.Run(p.name+"/library", func(b *testing.B) {
			var m libMessage
			if err := bencode.Unmarshal(packet, &m); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if got := bencode.MustMarshal(m); len(got) != len(packet) {
					b.Fatalf("%d bytes, want %d", len(got), len(packet))
				}
			}
		})
	}
}

func BenchmarkEachPeer(b *testing.B) {
	m := getPeersReply(50)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range m.EachPeer {
			n++
		}
		if n != 50 {
			b.Fatal(n)
		}
	}
}

package krpc

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// oddPackets are what other implementations send that no encoder here would.
var oddPackets = []string{
	"d1:y1:q1:t2:aa1:q4:ping1:ad2:id20:" + idA + "ee",
	"d1:eli201ee1:t2:aa1:y1:ee",
	"d1:e4:oops1:t2:aa1:y1:re",
	"d2:ip4:\x0a\x00\x00\x011:rd2:id20:" + idA + "6:values12:abcdefghijkle1:t2:aa1:y1:re\r\n",
	"d1:ad2:id20:" + idA + "4:porti0e3:seqi99999999999999999999e4:want2:n6e1:q4:vote1:t2:aa1:y1:qe",
	"d1:t1:a1:xlllldeeeee1:y1:qe",
	"d1:ad2:id19:abcdefghij012345678e1:q1:q1:t2:aa1:y1:qe",
	"d1:rd2:id20:" + idM + "e1:ad2:id20:" + idA + "e1:q4:ping1:t2:aa1:y1:qe",
	"d1:ad2:id20:" + idA + "e1:qi1e1:rd2:id20:" + idM + "6:valuesli1e6:abcdefee1:t2:aa1:y1:re",
	"d1:ad2:id20:" + idA + "e1:qi1e1:t2:aa1:y1:qe",
}

func addSeeds(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.packet))
	}
	for _, p := range oddPackets {
		f.Add([]byte(p))
	}
	f.Add(getPeersReply(3).Append(nil))
}

// FuzzDecode holds that no datagram makes the codec panic, and that what was
// read from one is written so that it reads the same again.
func FuzzDecode(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Message
		if err := first.Decode(b); err != nil {
			if err != ErrNotKRPC || !reflect.DeepEqual(first, Message{}) {
				t.Fatalf("%v, %+v", err, first)
			}
			return
		}
		first.CheckQuery()
		first.EachNode(func(n NodeInfo) bool { return n.Addr.IsValid() })
		first.EachPeer(func(a netip.AddrPort) bool { return a.IsValid() })

		packet := first.Append(nil)
		if got := first.length(); got != len(packet) {
			t.Fatalf("%q was written as %q, whose length is said to be %d", b, packet, got)
		}
		if err := second.Decode(packet); err != nil {
			t.Fatalf("%q was written as %q: %v", b, packet, err)
		}
		if want := sendable(first); !reflect.DeepEqual(second, want) {
			t.Fatalf("%q was written as %q\n got %+v\nwant %+v", b, packet, second, want)
		}
		if again := second.Append(nil); !bytes.Equal(again, packet) {
			t.Fatalf("%q was written as %q, then as %q", b, packet, again)
		}
	})
}

// sendable returns m without what is read but never written.
func sendable(m Message) Message {
	m.NoMethod, m.NoArgs, m.Malformed = false, false, 0
	if m.PackedValues {
		m.Values, m.PackedValues = nil, false
	}
	if m.Samples == nil {
		m.Interval, m.Num = 0, 0
	}
	if m.Kind == KindError && m.ErrorText == nil {
		m.ErrorText = []byte{}
	}
	return m
}

// oracleKey is a dictionary's key as the library reads it, without its leniency
// of taking a list of one string for a string.
type oracleKey string

func (k *oracleKey) UnmarshalBencode(b []byte) error {
	if !isDigit(b[0]) {
		return errors.New("not a string")
	}
	return bencode.Unmarshal(b, (*string)(k))
}

// oracleDict is a dictionary as the library reads it: its keys may come in any
// order, and of equal ones the last counts.
type oracleDict map[oracleKey]oracleValue

// oracleValue holds an oracleDict, or else what the library reads into an any.
// It has every value of a dictionary checked, those of repeated keys too.
type oracleValue struct{ v any }

func (v *oracleValue) UnmarshalBencode(b []byte) error {
	if b[0] != 'd' {
		return bencode.Unmarshal(b, &v.v)
	}
	d := oracleDict{}
	v.v = d
	return bencode.Unmarshal(b, &d)
}

func (d oracleDict) str(k oracleKey) (string, bool) {
	s, ok := d[k].v.(string)
	return s, ok
}

// oracleMessage returns the message in b as the library reads it, or ok false
// if that is not one which Decode must read too.
func oracleMessage(b []byte) (top oracleDict, ok bool) {
	var trailing bencode.ErrUnusedTrailingBytes
	if err := bencode.Unmarshal(b, &top); err != nil && !errors.As(err, &trailing) {
		return nil, false
	}
	tid, _ := top.str("t")
	y, _ := top.str("y")
	return top, len(tid) >= 1 && len(tid) <= maxTID && (y == "q" || y == "r" || y == "e")
}

// FuzzDecodeOracle holds that whatever anacrolix/torrent/bencode reads as a
// KRPC message, Decode reads as the same one.
func FuzzDecodeOracle(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		top, ok := oracleMessage(b)
		if !ok {
			return
		}
		var m Message
		if err := m.Decode(b); err != nil {
			t.Fatalf("the library reads %q", b)
		}
		if diff := compareOracle(&m, top); diff != "" {
			t.Fatalf("%q: %s", b, diff)
		}
	})
}

// compareOracle returns how m differs from what the library read, or "".
func compareOracle(m *Message, top oracleDict) string {
	y, _ := top.str("y")
	args, hasArgs := top[map[string]oracleKey{"q": "a", "r": "r"}[y]].v.(oracleDict)
	if _, e := top["e"]; y == "r" && e && !hasArgs {
		y = "e"
	}
	method := MethodUnknown
	q, isString := top.str("q")
	if isString && y == "q" {
		method = parseMethod([]byte(q))
	}
	if tid, _ := top.str("t"); string(m.TID) != tid || string(rune(m.Kind)) != y || m.Method != method {
		return fmt.Sprintf("t %q, y %c, q %v", m.TID, m.Kind, m.Method)
	}
	if m.NoArgs != (!hasArgs && y != "e") || m.NoMethod != (!isString && y == "q") {
		return fmt.Sprintf("NoArgs %v, NoMethod %v", m.NoArgs, m.NoMethod)
	}
	for _, c := range []struct {
		key oracleKey
		got []byte
		len int
	}{
		{"id", presentID(m.HasID, m.ID), IDLen},
		{"target", presentID(m.HasTarget, m.Target), IDLen},
		{"info_hash", presentID(m.HasInfoHash, m.InfoHash), IDLen},
		{"token", m.Token, anyLen},
		{"nodes", m.Nodes, anyLen},
		{"k", m.K, keyLen},
		{"sig", m.Sig, sigLen},
	} {
		want, isString := args.str(c.key)
		isRight := isString && (c.len == anyLen || len(want) == c.len)
		if isRight != (c.got != nil) || isRight && string(c.got) != want {
			return fmt.Sprintf("%s: got %q, the library reads %v", c.key, c.got, args[c.key])
		}
	}
	port, _ := args["port"].v.(int64)
	if port < 1 || port > 65535 {
		port = 0
	}
	seq, isInt := args["seq"].v.(int64)
	if int64(m.Port) != port || m.HasSeq != isInt || m.Seq != seq {
		return fmt.Sprintf("port %d, seq %v %d; the library reads %v and %v", m.Port, m.HasSeq, m.Seq, args["port"], args["seq"])
	}
	return ""
}

func presentID(has bool, id ID) []byte {
	if !has {
		return nil
	}
	return id[:]
}

// The oracle is of use only if it accepts what it is meant to judge.
func TestOracleReadsMessages(t *testing.T) {
	packets := []string{"d1:y1:q1:q4:ping1:ad4:porti80e2:id20:" + idA + "e1:t2:aae", oddPackets[3], oddPackets[4]}
	for _, g := range golden {
		packets = append(packets, g.packet)
	}
	for _, p := range packets {
		top, ok := oracleMessage([]byte(p))
		if !ok {
			t.Errorf("the library does not read %q", p)
			continue
		}
		if diff := compareOracle(decode(t, p), top); diff != "" {
			t.Errorf("%q: %s", p, diff)
		}
		m := decode(t, p)
		m.TID, m.HasSeq = []byte("other"), !m.HasSeq
		if compareOracle(m, top) == "" {
			t.Errorf("%q: a difference goes unseen", p)
		}
	}
}

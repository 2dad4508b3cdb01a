package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/krpc"
)

func TestShowValue(t *testing.T) {
	const text, other, neither = 't', 'j', '-'
	for _, tt := range []struct {
		v, line string
		is      rune
	}{
		{"12:Hello World!", "Hello World!", text},
		{"0:", "", text},
		{"8:a\tb\nå!\n", "a\tb\nå!\n", text},
		{`10:"\xff\xfe"`, `"\xff\xfe"`, text},
		{"4:\x1b[2J", `{"hex":"1b5b324a"}`, neither},
		{"2:\xff\xfe", `{"hex":"fffe"}`, neither},
		{"5:\u202eab", `{"hex":"e280ae6162"}`, neither},
		{"i-7e", "-7", other},
		{"i123456789012345678901234567890e", "123456789012345678901234567890", other},
		{"le", "[]", other},
		{"li1e1:al1:beed", `{"value_hex":"6c693165313a616c313a62656564"}`, neither}, // no bencode
		{"d1:ali1e5:<b>\t\ne2:ih20:" + nulls + "e", `{"a":[1,"<b>\t\n"],"ih":{"hex":"` + strings.Repeat("00", 20) + `"}}`, other},
		{"d1:\xff1:\xfee", `{"hex:ff":{"hex":"fe"}}`, other},
		{"l1:\x7f2:\u009b4:\U000e0001e", `[{"hex":"7f"},{"hex":"c29b"},{"hex":"f3a08081"}]`, other},
	} {
		got := showValue([]byte(tt.v))
		is := neither
		switch {
		case got.text != nil && *got.text == tt.line && got.json == nil:
			is = text
		case got.text == nil && string(got.json) == tt.line:
			is = other
		}
		if got.line != tt.line || is != tt.is {
			t.Errorf("%q: %s (%c), want %s (%c)", tt.v, got.line, is, tt.line, tt.is)
		}
	}
	several := showValue([]byte("5:a\nb\t\""))
	if got := several.onOneLine(); got != `"a\nb\t\""` || !json.Valid([]byte(got)) {
		t.Errorf("on a line: %s", got)
	}
}

// Strangers choose texts of errors and versions.
func TestJSONIsHarmless(t *testing.T) {
	got, err := encodeJSON([]string{"a&b\x1b\n", "\u009b\u202e", "\U000e0001", latin1("LT\xff\x9b")})
	want := `["a&b\u001b\n","\u009b\u202e","\udb40\udc01","LTÿ\u009b"]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

const nulls = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func TestTorrentUpdates(t *testing.T) {
	if ih, err := decodeTorrentUpdate([]byte("d2:ih20:" + nulls + "1:xi1ee")); err != nil || ih != (krpc.ID{}) {
		t.Errorf("%v, %v", ih, err)
	}
	for _, v := range []string{"", "0:", "i1e", "le", "de", "d2:ihi1ee", "d2:ih19:" + nulls[1:] + "e", "d2:ih20:" + nulls} {
		if ih, err := decodeTorrentUpdate([]byte(v)); err == nil {
			t.Errorf("%q: %v", v, ih)
		}
	}
}

// Whatever a stranger has stored, nothing that a terminal obeys is printed, and what is
// no string is JSON.
func FuzzShowValue(f *testing.F) {
	for _, v := range []string{"5:hello", "2:\x1b[", "li1e1:\xffe", "d1:ad1:bleee", "d2:ih20:" + nulls + "e", "l2:\u009be", "i-0e"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if len(v) > 1000 {
			return
		}
		decodeTorrentUpdate(v)
		value := showValue(v)
		s := value.line
		if !utf8.ValidString(s) {
			t.Fatalf("%q: no text: %q", v, s)
		}
		for _, r := range s {
			if !strconv.IsPrint(r) && r != '\n' && r != '\t' {
				t.Fatalf("%q: prints %q", v, r)
			}
		}
		var x any
		if bencode.Unmarshal(v, &x) != nil {
			return
		}
		if _, text := x.(string); !text && !json.Valid([]byte(s)) {
			t.Fatalf("%q: no JSON: %s", v, s)
		}
	})
}

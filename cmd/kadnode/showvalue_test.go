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
	for v, want := range map[string]string{
		"12:Hello World!":                     "Hello World!",
		"0:":                                  "",
		"8:a\tb\nå!\n":                        "a\tb\nå!\n",
		"4:\x1b[2J":                           `"\x1b[2J"`,
		"2:\xff\xfe":                          `"\xff\xfe"`,
		"5:\u202eab":                          `"\u202eab"`,
		"i-7e":                                "-7",
		"i123456789012345678901234567890e":    "123456789012345678901234567890",
		"le":                                  "[]",
		"li1e1:al1:beed":                      `"li1e1:al1:beed"`, // no bencode
		"d1:ali1e3:<b>e2:ih20:" + nulls + "e": `{"a":[1,"<b>"],"ih":"` + strings.Repeat(`\u0000`, 20) + `"}`,
		"d1:\xff1:\xfee":                      `{"hex:ff":{"hex":"fe"}}`,
		"l1:\x7f2:\u009b4:\U000e0001e":        `["\u007f","\u009b","\udb40\udc01"]`,
	} {
		if got := showValue([]byte(v)); got != want {
			t.Errorf("%q: %s, want %s", v, got, want)
		}
	}
	if got := showLine([]byte("3:a\nb")); got != `"a\nb"` {
		t.Errorf("on a line: %s", got)
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
		s := showValue(v)
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

package main

import (
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

func TestInfoHashForms(t *testing.T) {
	want, err := krpc.ParseID(hash)
	if err != nil {
		t.Fatal(err)
	}
	b32 := base32.StdEncoding.EncodeToString(want[:])
	for _, s := range []string{
		hash,
		strings.ToUpper(hash),
		b32,
		strings.ToLower(b32),
		"magnet:?xt=urn:btih:" + hash,
		"MAGNET:?xt=urn:btih:" + b32 + "&dn=name",
		"magnet:?xt=urn:BTIH:" + hash,
		"magnet:?xt=URN:Btih:" + b32,
		"magnet:?dn=x&xt=urn:btmh:1220&xt=urn:btih:" + hash + "&tr=udp%3A%2F%2Ftracker%3A1",
	} {
		if got, err := parseInfoHash(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", hash[1:], hash + "0", "magnet:", "magnet:?xt=urn:btih:" + hash[1:], "magnet:?xt=urn:sha1:" + hash, ".", "%zz",
	} {
		if got, err := parseInfoHash(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}

func TestInfoHashOfATorrentFile(t *testing.T) {
	// The keys are out of order and one is unknown: it counts what stands there.
	info := "d6:pieces20:aaaaaaaaaaaaaaaaaaaa4:name1:x12:piece lengthi16384e7:unknownle6:lengthi1ee"
	want := sha1.Sum([]byte(info))
	name := filepath.Join(t.TempDir(), "x.torrent")
	for _, content := range []string{
		"d4:info" + info + "e",
		"d8:announce3:udp4:info" + info + "8:url-listlee",
		"d4:info" + info + "e\r\n",
	} {
		writeFile(t, name, content)
		if got, err := parseInfoHash(name); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %s", content, got, err, hex.EncodeToString(want[:]))
		}
	}
	for _, content := range []string{"", "x", "de", "d4:infoi1ee", "d4:info", "d4:info" + info, "le"} {
		writeFile(t, name, content)
		if got, err := parseInfoHash(name); err == nil {
			t.Errorf("%q: %v, want an error", content, got)
		}
	}
}

func FuzzInfoHashOfATorrent(f *testing.F) {
	f.Add([]byte("d4:infod4:name1:xee"))
	f.Add([]byte("d4:infod4:name99999999999:xee"))
	f.Add([]byte("d4:info" + strings.Repeat("l", 1000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		ih, err := infoHashOf(b)
		if err == nil && ih == (krpc.ID{}) {
			t.Error("no hash and no error")
		}
	})
}

func FuzzMagnet(f *testing.F) {
	f.Add("magnet:?xt=urn:btih:" + hash)
	f.Add("magnet:?xt=urn:btih:%30&xt=urn:btih:")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseMagnet(s); err == nil && !strings.Contains(strings.ToLower(s), "xt=") {
			t.Errorf("%q has no topic", s)
		}
	})
}

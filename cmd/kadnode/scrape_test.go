package main

import (
	"strings"
	"testing"
)

func TestScrape(t *testing.T) {
	net := newNetwork(t)
	other, nobody := strings.Repeat("8", 40), strings.Repeat("9", 40)
	net.run(t, "announce", hash, "--port", "1", "--seed").expect(t, exitDone, "stored at 8")
	net.run(t, "announce", other, "--port", "1").expect(t, exitDone, "stored at 8")

	r := net.run(t, "scrape", hash, other, "magnet:?xt=urn:btih:"+nobody)
	r.expect(t, exitFailed, "kadnode: no peer found of 1 of 3 torrents\n")
	want := hash + " 1 seed, 0 other peers, by 8 nodes\n" +
		other + " 0 seeds, 1 other peer, by 8 nodes\n" +
		nobody + " 0 seeds, 0 other peers, by 0 nodes\n"
	if r.stdout != want {
		t.Errorf("%s, want\n%s", r.stdout, want)
	}
	r = net.run(t, "scrape", other, hash)
	r.expect(t, exitDone, other+" 0 seeds, 1 other peer, by 8 nodes\n"+hash)
	net.run(t, "scrape", hash, "--json").
		expect(t, exitDone, `{"hash":"`+hash+`","seeds":1,"peers":0,"nodes":8,"legacy_nodes":0}`+"\n")
	net.run(t, "scrape").expect(t, exitUsage, "requires at least 1 arg")
	net.run(t, "scrape", hash, "nosuchfile").expect(t, exitUsage, "nosuchfile")
}

package kademlia

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// The test vectors of BEP 42: the first 21 bits of the id and its last byte.
func TestSecureIDVectors(t *testing.T) {
	for _, tt := range []struct {
		ip   string
		last byte
		id   string
	}{
		{"124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"},
		{"21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"},
		{"65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"},
		{"84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"},
		{"43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"},
	} {
		id, err := krpc.ParseID(tt.id)
		if err != nil || id[19] != tt.last {
			t.Fatal(err, id)
		}
		ip := netip.MustParseAddr(tt.ip)
		if !ValidID(id, ip) {
			t.Errorf("%s: the BEP's id is not valid", tt.ip)
		}
		id[0] ^= 1
		if ValidID(id, ip) {
			t.Errorf("%s: an id with another prefix is valid", tt.ip)
		}
	}
}

func TestSecureIDIsValidWhereItWasMade(t *testing.T) {
	rng := testRand(1)
	for i := range 500 {
		for _, ip := range []netip.Addr{addrIn(i * 77).Addr(), netip.AddrFrom16([16]byte{0x2a, byte(i), 3, byte(i >> 4), 9, 15: 1})} {
			id := SecureID(ip, rng)
			if !ValidID(id, ip) {
				t.Fatalf("%v: own id %v is not valid", ip, id)
			}
			if bytes.Contains(id[:], []byte("1:t")) {
				t.Fatalf("%v would end a substring search", id)
			}
		}
	}
	for _, local := range []string{"127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1", "fd00::1"} {
		if !ValidID(krpc.ID{1, 2, 3}, netip.MustParseAddr(local)) {
			t.Errorf("%s is not exempt", local)
		}
	}
}

func TestExternalAddressNeedsAMajorityOfNetworks(t *testing.T) {
	var v addrVotes
	us, lie := netip.MustParseAddr("80.1.2.3"), netip.MustParseAddr("90.1.2.3")
	voter := func(i int) netip.Addr { return addrIn(i).Addr() }
	now := epoch
	// One network may repeat itself as often as it likes.
	for range 100 {
		if v.add(voter(0), lie, now) {
			t.Fatal("one network decided")
		}
	}
	changes := 0
	for i := 1; i <= 10; i++ {
		if v.add(voter(i), us, now) {
			changes++
		}
	}
	if changes != 1 || v.current != us {
		t.Fatalf("%d changes, now %v", changes, v.current)
	}
	// A third of the networks lie, then half of them.
	for i := 100; i < 110; i++ {
		now = now.Add(time.Minute)
		if v.add(voter(i), lie, now) {
			t.Fatalf("changed with %d liars", i-99)
		}
	}
	// We have moved: all say so, and only the old votes stand against it.
	moved, at := netip.MustParseAddr("70.1.2.3"), 0
	for i := 200; i < 300 && v.current != moved; i++ {
		v.add(voter(i), moved, now)
		at = i - 199
	}
	if v.current != moved || at < 20 {
		t.Errorf("moved after %d votes to %v", at, v.current)
	}
	if len(v.votes) > maxVoters {
		t.Errorf("%d votes kept", len(v.votes))
	}
}

func TestExternalAddressIgnoresWhatNobodyCanSee(t *testing.T) {
	var v addrVotes
	for i := range 50 {
		for _, addr := range []string{"192.168.1.1", "0.0.0.0", "224.0.0.1", "2a00::1", "127.0.0.1"} {
			if v.add(addrIn(i).Addr(), netip.MustParseAddr(addr), epoch) {
				t.Fatalf("believed in %s", addr)
			}
		}
	}
	if len(v.votes) != 0 {
		t.Errorf("%d votes kept", len(v.votes))
	}
}

func TestExternalAddressDoesNotFlap(t *testing.T) {
	var v addrVotes
	changes := 0
	for i := range 2000 {
		addr := netip.AddrFrom4([4]byte{80, 1, 2, byte(i / 64 % 2)})
		if v.add(addrIn(i).Addr(), addr, epoch.Add(time.Duration(i)*time.Second/10)) {
			changes++
		}
	}
	if changes > 1 { // 200 seconds, within one cool-down
		t.Errorf("%d changes", changes)
	}
}

func TestTokenIsForOneAddressAndTarget(t *testing.T) {
	rng := testRand(1)
	var tok tokens
	tok.restore(TokenState{}, epoch, rng)
	a, b := netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("11.0.0.2")
	t1, t2 := krpc.RandomID(rng), krpc.RandomID(rng)
	token := tok.issue(nil, a, t1)
	for _, tt := range []struct {
		name   string
		token  []byte
		addr   netip.Addr
		target krpc.ID
		want   bool
	}{
		{"as issued", token, a, t1, true},
		{"other address", token, b, t1, false},
		{"other target", token, a, t2, false},
		{"empty", nil, a, t1, false},
		{"shortened", token[:7], a, t1, false},
		{"lengthened", append(bytes.Clone(token), 0), a, t1, false},
		{"flipped", []byte{token[0] ^ 1, token[1], token[2], token[3], token[4], token[5], token[6], token[7]}, a, t1, false},
	} {
		if got := tok.valid(tt.token, tt.addr, tt.target); got != tt.want {
			t.Errorf("%s: %t, want %t (%s)", tt.name, got, tt.want, hex.EncodeToString(tt.token))
		}
	}
	tok.rotate(epoch, rng)
	if !tok.valid(token, a, t1) {
		t.Error("gone after one rotation")
	}
	tok.rotate(epoch, rng)
	if tok.valid(token, a, t1) {
		t.Error("still valid after two rotations")
	}
	for range 5000 {
		if bytes.IndexByte(tok.issue(nil, a, krpc.RandomID(rng)), ':') >= 0 {
			t.Fatal("a token has a colon")
		}
	}
	if n := testing.AllocsPerRun(100, func() { tok.valid(tok.issue(token[:0], a, t1), a, t1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIDInBucket(t *testing.T) {
	rng := testRand(1)
	self := krpc.RandomID(rng)
	for i := range 160 {
		if got := self.CommonPrefixLen(idInBucket(self, i, rng)); got != i {
			t.Errorf("bucket %d: shares %d bits", i, got)
		}
	}
}

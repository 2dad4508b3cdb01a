package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// updateTopic is what a magnet link begins a public key with (BEP 46).
const updateTopic = "urn:btpk:"

// itemAddress is where an item of BEP 44 is.
type itemAddress struct {
	target  krpc.ID
	salt    []byte
	torrent bool // the item says which torrent is current (BEP 46)
	bareKey bool // it was given as a public key, and without a salt
}

// parseItemAddress reads the address of an item: the target as 40 hexadecimal or 32
// base32 digits, a public key as 64 hexadecimal digits, or a magnet link of BEP 46. A
// magnet link has its own salt.
func parseItemAddress(s string, salt salt) (itemAddress, error) {
	if strings.HasPrefix(strings.ToLower(s), "magnet:") {
		if salt.set {
			return itemAddress{}, usagef("the salt is in the magnet link: --salt and --salt-hex are for keys and targets")
		}
		return parseUpdateMagnet(s)
	}
	if target, ok := parseHash(s); ok {
		return itemAddress{target: target, salt: salt.bytes}, nil
	}
	if key, ok := parsePublicKey(s); ok {
		return itemAddress{target: store.MutableTarget(key, salt.bytes), salt: salt.bytes, bareKey: !salt.set}, nil
	}
	return itemAddress{}, usagef("%q is no target (40 hex or 32 base32 digits), no public key (64 hex digits) and no magnet link", s)
}

func parsePublicKey(s string) (ed25519.PublicKey, bool) {
	key, err := hex.DecodeString(s)
	return key, err == nil && len(key) == ed25519.PublicKeySize
}

// parseUpdateMagnet reads magnet:?xs=urn:btpk:KEY&s=SALT, both in hexadecimal digits and
// the salt optional (BEP 46).
func parseUpdateMagnet(s string) (itemAddress, error) {
	u, err := url.Parse(s)
	if err != nil {
		return itemAddress{}, usagef("magnet link: %w", err)
	}
	query := u.Query()
	var salt salt
	if err := (&saltValue{&salt, true}).Set(query.Get("s")); err != nil {
		return itemAddress{}, usagef("magnet link: s: %w", err)
	}
	for _, source := range query["xs"] {
		if len(source) < len(updateTopic) || !strings.EqualFold(source[:len(updateTopic)], updateTopic) {
			continue
		}
		if key, ok := parsePublicKey(source[len(updateTopic):]); ok {
			return itemAddress{target: store.MutableTarget(key, salt.bytes), salt: salt.bytes, torrent: true}, nil
		}
	}
	return itemAddress{}, usagef("magnet link %q: no xs=%s with 64 hex digits (BEP 46)", s, updateTopic)
}

// updateMagnet returns the magnet link for the torrents that are published with a key
// and a salt (BEP 46).
func updateMagnet(key, salt []byte) string {
	link := "magnet:?xs=" + updateTopic + hex.EncodeToString(key)
	if len(salt) > 0 {
		link += "&s=" + hex.EncodeToString(salt)
	}
	return link
}

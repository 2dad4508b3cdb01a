package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newKey has keygen make a key, and returns the name of its file and the public key.
func newKey(t *testing.T) (name, public string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "key.pem")
	r := kadnode(t, "keygen", name)
	r.expect(t, exitDone, "magnet:?xs=urn:btpk:")
	public, _, _ = strings.Cut(r.stdout, "\n")
	return name, public
}

func TestKeygen(t *testing.T) {
	name, public := newKey(t)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	var warnings bytes.Buffer
	key, err := readKey(name, &warnings)
	if err != nil || warnings.Len() > 0 || hex.EncodeToString(key.Public().(ed25519.PublicKey)) != public {
		t.Errorf("read back: %v, %s", err, &warnings)
	}

	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kadnode(t, "keygen", name).expect(t, exitFailed, name+" exists, and no key is overwritten")
	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was overwritten: %v", err)
	}

	other := name + ".json"
	r := kadnode(t, "keygen", other, "--json")
	var object struct {
		File, Magnet string
		Key          string `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil || object.File != other ||
		len(object.Key) != 64 || object.Magnet != "magnet:?xs=urn:btpk:"+object.Key {
		t.Errorf("%s: %v", r.stdout, err)
	}
}

// The key is what "openssl genpkey -algorithm ed25519" wrote, and its public key what
// "openssl pkey -pubout" did.
func TestKeyFiles(t *testing.T) {
	const (
		fromOpenSSL = "-----BEGIN PRIVATE KEY-----\n" +
			"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" +
			"-----END PRIVATE KEY-----\n"
		seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842"
		rsa  = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
	)
	dir := t.TempDir()
	read := func(content string, mode os.FileMode) (ed25519.PrivateKey, string, error) {
		name := filepath.Join(dir, "key")
		os.Remove(name)
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		var warnings bytes.Buffer
		key, err := readKey(name, &warnings)
		return key, warnings.String(), err
	}
	a, _, err := read(fromOpenSSL, 0o600)
	if err != nil || hex.EncodeToString(a.Seed()) != seed {
		t.Errorf("PEM: %x, %v", a, err)
	}
	if b, _, err := read(seed+"\n", 0o600); err != nil || !a.Equal(b) {
		t.Errorf("seed: %x, %v", b, err)
	}
	if encoded, err := encodeKey(a); err != nil || string(encoded) != fromOpenSSL {
		t.Errorf("written as %s, %v", encoded, err)
	}
	for _, bad := range []string{"", seed[2:], "hello", rsa, strings.Replace(fromOpenSSL, "K2Vw", "K2Vx", 1)} {
		if _, _, err := read(bad, 0o600); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if _, warning, err := read(seed, 0o644); err != nil || !strings.Contains(warning, "others may read") {
		t.Errorf("readable by all: %q, %v", warning, err)
	}
}

package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// keyBlock is the PEM type of a PKCS#8 key.
	keyBlock = "PRIVATE KEY"
	// maxKeyFile bounds the size of a key file that is read, in bytes.
	maxKeyFile = 64 << 10
)

func encodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// decodeKey reads an ed25519 key: PKCS#8 as PEM, or the seed as 64 hexadecimal digits.
func decodeKey(b []byte) (ed25519.PrivateKey, error) {
	if seed, err := hex.DecodeString(strings.TrimSpace(string(b))); err == nil && len(seed) == ed25519.SeedSize {
		return ed25519.NewKeyFromSeed(seed), nil
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != keyBlock {
		return nil, errors.New("no ed25519 key: want PKCS#8 as PEM, or 64 hexadecimal digits")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of another kind (%T): want ed25519", parsed)
	}
	return key, nil
}

// readKey reads the key file with a name, and warns if it is not a secret.
func readKey(name string, warnings io.Writer) (ed25519.PrivateKey, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if othersMayRead(info) {
		fmt.Fprintf(warnings, "warning: others may read the key in %s (mode %v)\n", name, info.Mode())
	}
	return key, nil
}

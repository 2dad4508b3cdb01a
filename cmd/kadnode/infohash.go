package main

import (
	"crypto/sha1"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/krpc"
)

// maxTorrent bounds the size of a .torrent file that is read, in bytes.
const maxTorrent = 64 << 20

// parseInfoHash reads an info-hash: 40 hexadecimal digits, 32 of base32, a magnet
// link, or the name of a .torrent file.
func parseInfoHash(s string) (krpc.ID, error) {
	if id, ok := parseHash(s); ok {
		return id, nil
	}
	if strings.HasPrefix(strings.ToLower(s), "magnet:") {
		return parseMagnet(s)
	}
	id, err := hashTorrent(s)
	if errors.Is(err, fs.ErrNotExist) && !namesTorrent(s) {
		return krpc.ID{}, usagef("%q is no info-hash (40 hex or 32 base32 digits), no magnet link and no file", s)
	}
	return id, err
}

// namesTorrent tells whether s is meant to be the name of a .torrent file.
func namesTorrent(s string) bool {
	return strings.HasSuffix(strings.ToLower(s), ".torrent") || strings.ContainsRune(s, os.PathSeparator)
}

func parseHash(s string) (krpc.ID, bool) {
	if id, err := krpc.ParseID(s); err == nil {
		return id, true
	}
	b, err := base32.StdEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != krpc.IDLen {
		return krpc.ID{}, false
	}
	return krpc.ID(b), true
}

// parseMagnet reads the info-hash of a magnet link (BEP 9).
func parseMagnet(s string) (krpc.ID, error) {
	u, err := url.Parse(s)
	if err != nil {
		return krpc.ID{}, usagef("magnet link: %w", err)
	}
	const urn = "urn:btih:" // in any case (RFC 8141)
	for _, topic := range u.Query()["xt"] {
		if len(topic) < len(urn) || !strings.EqualFold(topic[:len(urn)], urn) {
			continue
		}
		if id, ok := parseHash(topic[len(urn):]); ok {
			return id, nil
		}
	}
	if _, err := parseUpdateMagnet(s); err == nil {
		return krpc.ID{}, usagef("magnet link %q names no torrent but who publishes one: ask \"kadnode get\" first, which prints the info-hash", s)
	}
	return krpc.ID{}, usagef("magnet link %q: no xt=urn:btih: with 40 hex or 32 base32 digits", s)
}

// hashTorrent returns the info-hash of the .torrent file with a name.
func hashTorrent(name string) (krpc.ID, error) {
	f, err := os.Open(name)
	if err != nil {
		return krpc.ID{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTorrent))
	if err != nil {
		return krpc.ID{}, err
	}
	ih, err := infoHashOf(b)
	if err != nil {
		return krpc.ID{}, fmt.Errorf("%s: %w", name, err)
	}
	return ih, nil
}

// infoHashOf returns the info-hash of the content of a .torrent file: the SHA-1 of
// its info dictionary as it stands there, not as it would be written anew (BEP 3).
func infoHashOf(b []byte) (krpc.ID, error) {
	var torrent struct {
		Info bencode.Bytes `bencode:"info"`
	}
	// Some programs leave a line end after the dictionary.
	if err := bencode.Unmarshal(b, &torrent); err != nil && !errors.As(err, new(bencode.ErrUnusedTrailingBytes)) {
		return krpc.ID{}, err
	}
	if len(torrent.Info) == 0 || torrent.Info[0] != 'd' {
		return krpc.ID{}, errors.New("no info dictionary")
	}
	return sha1.Sum(torrent.Info), nil
}

package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/anacrolix/torrent/bencode"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// valueSource is where the value of an item comes from: one of these, or the command
// line's argument.
type valueSource struct {
	file     string
	bencoded bool // the argument or the file is
	torrent  string
	infoHash string
}

func (o *valueSource) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.file, "file", "", "`file` with the value, - for standard input")
	fs.BoolVar(&o.bencoded, "bencoded", false, "the value is bencoded already, and need not be a string")
	fs.StringVar(&o.torrent, "torrent", "", "publish the torrent of this .torrent `file` (BEP 46)")
	fs.StringVar(&o.infoHash, "infohash", "", "publish the torrent with this `hash`, in any form that get-peers takes (BEP 46)")
}

// isTorrent tells whether a torrent is to be published.
func (o *valueSource) isTorrent() bool { return o.torrent+o.infoHash != "" }

// read returns the value's bencoded form.
func (o *valueSource) read(args []string, stdin io.Reader) ([]byte, error) {
	sources := len(args)
	for _, s := range []string{o.file, o.torrent, o.infoHash} {
		if s != "" {
			sources++
		}
	}
	switch {
	case sources != 1:
		return nil, usagef("want one of VALUE, --file, --torrent and --infohash, not %d", sources)
	case o.isTorrent():
		if o.bencoded {
			return nil, usagef("--bencoded is for VALUE and --file")
		}
		return o.readTorrent()
	case len(args) == 1:
		return o.encode([]byte(args[0]))
	}
	b, err := readValue(o.file, stdin)
	if err != nil {
		return nil, err
	}
	return o.encode(b)
}

// readTorrent returns the value that publishes a torrent (BEP 46).
func (o *valueSource) readTorrent() ([]byte, error) {
	read, from := parseInfoHash, o.infoHash
	if o.torrent != "" {
		read, from = hashTorrent, o.torrent
	}
	ih, err := read(from)
	if err != nil {
		return nil, err
	}
	return bencode.Marshal(torrentUpdate{ih[:]})
}

// readValue reads the file with a name, or stdin for -, as far as a value can go.
func readValue(name string, stdin io.Reader) ([]byte, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	return io.ReadAll(io.LimitReader(r, store.MaxValue+1))
}

func (o *valueSource) encode(b []byte) ([]byte, error) {
	if !o.bencoded {
		return bencode.Marshal(b)
	}
	if len(b) <= store.MaxValue && !krpc.Canonical(b) {
		return nil, usagef("--bencoded: the value is no bencode, its keys are not in order, or it is nested too deep")
	}
	return b, nil
}

// torrentUpdate is the value of an item that says which torrent is current (BEP 46).
type torrentUpdate struct {
	InfoHash []byte `bencode:"ih"`
}

// decodeTorrentUpdate returns the info-hash in the bencoded value of an item.
func decodeTorrentUpdate(v []byte) (krpc.ID, error) {
	var u torrentUpdate
	if !bytes.HasPrefix(v, []byte("d")) || bencode.Unmarshal(v, &u) != nil || len(u.InfoHash) != krpc.IDLen {
		return krpc.ID{}, errors.New("the item is no torrent: it has no info-hash (BEP 46)")
	}
	return krpc.ID(u.InfoHash), nil
}

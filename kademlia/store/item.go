package store

import (
	"crypto/ed25519"
	"crypto/sha1"
	"strconv"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// The limits of BEP 44.
const (
	MaxValue = 1000 // bytes of a value's bencoded form
	MaxSalt  = 64   // bytes
	// Life is how long an item is kept after its publisher has last put it.
	Life = 2 * time.Hour
)

// What is wrong with an item, as it goes over the wire. They are made once, since
// an attacker chooses how often they are sent, and never changed.
var (
	ErrValueTooBig   = &krpc.Error{Code: krpc.CodeValueTooBig, Text: "v is longer than 1000 bytes"}
	ErrSaltTooBig    = &krpc.Error{Code: krpc.CodeSaltTooBig, Text: "salt is longer than 64 bytes"}
	ErrNotCanonical  = &krpc.Error{Code: krpc.CodeProtocol, Text: "v is not valid bencode"}
	ErrBadSignature  = &krpc.Error{Code: krpc.CodeBadSignature, Text: "invalid signature"}
	ErrSeqOutOfRange = &krpc.Error{Code: krpc.CodeProtocol, Text: "seq is out of range"}
)

// Item is a value with what proves that it belongs to its target (BEP 44): an
// immutable item, whose target is the hash of the value, or a mutable one, which the
// owner of a key has signed. What makes and returns Items never changes them later,
// and neither may who holds one.
type Item struct {
	V []byte // the value's bencoded form, verbatim

	K    []byte // the public key, 32 bytes; nil for an immutable item
	Salt []byte // tells the items of one key apart; at most MaxSalt bytes
	Seq  int64  // grows with every change
	Sig  []byte // over Salt, Seq and V, 64 bytes
}

// Immutable returns the immutable item of v, the bencoded form of its value.
func Immutable(v []byte) (Item, error) {
	it := Item{V: v}
	return it, it.Check()
}

// Sign returns a mutable item that carries v, the bencoded form of its value.
func Sign(key ed25519.PrivateKey, salt []byte, seq int64, v []byte) (Item, error) {
	it := Item{V: v, K: []byte(key.Public().(ed25519.PublicKey)), Salt: salt, Seq: seq}
	if err := it.checkForm(); err != nil {
		return Item{}, err
	}
	it.Sig = ed25519.Sign(key, it.appendSigned(nil))
	return it, nil
}

// Mutable tells whether the item can be replaced by one with a higher Seq.
func (it *Item) Mutable() bool { return it.K != nil }

// Target returns where in the DHT the item is kept.
func (it *Item) Target() krpc.ID {
	if it.Mutable() {
		return MutableTarget(it.K, it.Salt)
	}
	return sha1.Sum(it.V)
}

// MutableTarget returns where in the DHT the item of a public key and a salt, of at
// most MaxSalt bytes, is kept.
func MutableTarget(key, salt []byte) krpc.ID {
	var b [ed25519.PublicKeySize + MaxSalt]byte
	return sha1.Sum(append(append(b[:0], key...), salt...))
}

// size returns the number of the item's bytes.
func (it *Item) size() int { return len(it.V) + len(it.K) + len(it.Salt) + len(it.Sig) }

// clone returns a copy of the item, all of whose bytes are in one piece of memory.
func (it *Item) clone() *Item {
	c := *it
	b := make([]byte, 0, it.size())
	for _, field := range [...]*[]byte{&c.V, &c.K, &c.Salt, &c.Sig} {
		if *field != nil {
			from := len(b)
			b = append(b, *field...)
			*field = b[from:len(b):len(b)]
		}
	}
	return &c
}

// Check returns nil if a node may store the item, and else what it would answer:
// ErrValueTooBig, ErrSaltTooBig, ErrSeqOutOfRange, ErrNotCanonical or ErrBadSignature.
func (it *Item) Check() error {
	if err := it.checkForm(); err != nil {
		return err
	}
	if err := it.checkSignature(); err != nil {
		return err
	}
	return nil
}

// checkForm checks all but the signature, which costs a hundred times as much.
func (it *Item) checkForm() *krpc.Error {
	switch {
	case len(it.V) > MaxValue:
		return ErrValueTooBig
	case len(it.Salt) > MaxSalt:
		return ErrSaltTooBig
	case it.Seq < 0:
		return ErrSeqOutOfRange
	case !krpc.Canonical(it.V):
		return ErrNotCanonical
	}
	return nil
}

func (it *Item) checkSignature() *krpc.Error {
	if !it.Mutable() {
		return nil
	}
	var b [MaxValue + MaxSalt + 64]byte
	if len(it.K) != ed25519.PublicKeySize || !ed25519.Verify(it.K, it.appendSigned(b[:0]), it.Sig) {
		return ErrBadSignature
	}
	return nil
}

// appendSigned appends what the signature is over.
func (it *Item) appendSigned(dst []byte) []byte {
	if len(it.Salt) > 0 {
		dst = strconv.AppendInt(append(dst, "4:salt"...), int64(len(it.Salt)), 10)
		dst = append(append(dst, ':'), it.Salt...)
	}
	dst = strconv.AppendInt(append(dst, "3:seqi"...), it.Seq, 10)
	return append(append(dst, "e1:v"...), it.V...)
}

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia/store"
)

// salt is that of a mutable item, which --salt or --salt-hex sets.
type salt struct {
	bytes []byte
	set   bool
}

func (s *salt) addFlags(fs *pflag.FlagSet) {
	fs.Var(&saltValue{s, false}, "salt", "`text` that tells the items of one key apart")
	fs.Var(&saltValue{s, true}, "salt-hex", "the same in hexadecimal `digits`")
}

// saltValue is the flag --salt or --salt-hex.
type saltValue struct {
	salt *salt
	hex  bool
}

func (v *saltValue) Type() string { return "salt" }

func (v *saltValue) String() string {
	if v.hex {
		return hex.EncodeToString(v.salt.bytes)
	}
	return string(v.salt.bytes)
}

func (v *saltValue) Set(s string) error {
	b := []byte(s)
	if v.hex {
		var err error
		if b, err = hex.DecodeString(s); err != nil {
			return errors.New("want hexadecimal digits, two a byte")
		}
	}
	switch {
	case v.salt.set:
		return errors.New("there is another salt already")
	case len(b) > store.MaxSalt:
		return fmt.Errorf("want %d bytes at most, not %d", store.MaxSalt, len(b))
	}
	v.salt.bytes, v.salt.set = b, true
	return nil
}

// seqValue is a flag with a version of a mutable item. Zero is one.
type seqValue struct {
	n   int64
	set bool
}

func (v *seqValue) Type() string { return "int" }

func (v *seqValue) String() string {
	if !v.set {
		return ""
	}
	return strconv.FormatInt(v.n, 10)
}

func (v *seqValue) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("want an integer from 0 to %d", int64(math.MaxInt64))
	}
	v.n, v.set = n, true
	return nil
}

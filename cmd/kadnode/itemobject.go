package main

import (
	"encoding/hex"
	"fmt"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// kindAndSeq describes an item for people.
func kindAndSeq(it *store.Item) string {
	if !it.Mutable() {
		return "immutable"
	}
	return fmt.Sprintf("mutable, seq %d", it.Seq)
}

// itemObject is what is the same in the JSON of put and get.
type itemObject struct {
	Target string `json:"target"`
	Kind   string `json:"kind"`
	Seq    *int64 `json:"seq,omitempty"`
	Key    string `json:"public_key,omitempty"`
	Salt   string `json:"salt_hex,omitempty"`
}

func describeItem(target krpc.ID, it *store.Item) itemObject {
	if !it.Mutable() {
		return itemObject{Target: target.String(), Kind: "immutable"}
	}
	return itemObject{target.String(), "mutable", &it.Seq, hex.EncodeToString(it.K), hex.EncodeToString(it.Salt)}
}

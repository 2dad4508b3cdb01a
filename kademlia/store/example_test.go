package store_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
)

// A node that stores items for others, and publishes some of its own.
func Example() {
	dht, err := kademlia.New(kademlia.Config{
		Listen:    []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:6881")},
		Bootstrap: kademlia.DefaultBootstrap,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer dht.Close()
	items := store.New(dht.Nodes(), store.Config{})
	dht.Start()
	items.Start()
	defer items.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// An immutable item is found by the hash of its value, which is bencoded.
	hello, err := store.Immutable([]byte("12:Hello World!"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := items.Put(ctx, hello, store.PutOptions{}); err != nil {
		log.Fatal(err)
	}
	found, err := items.Get(ctx, hello.Target(), store.GetOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", found.Item.V)

	// A mutable one is found by a key, and changed by whoever has its private half.
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // a secret one in earnest
	latest, _, err := items.Update(ctx, key, []byte("news"), func(old *store.Item) ([]byte, error) {
		return []byte("5:today"), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Nodes forget it after two hours, unless it is put again.
	if err := items.Keep(latest, store.KeepOptions{Stored: true}); err != nil {
		log.Fatal(err)
	}
}

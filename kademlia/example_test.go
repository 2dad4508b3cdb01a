package kademlia_test

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net/netip"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// A node that shares the UDP port of another protocol. What that port receives and begins with
// a d is for its Deliver.
func ExampleNewNode() {
	var port krpc.Transport // yours: Send and LocalAddr
	var seed [32]byte
	crand.Read(seed[:]) // crypto/rand; never fails
	n, err := kademlia.NewNode(kademlia.NodeConfig{
		Transport: port,
		Clock:     krpc.SystemClock{},
		Rand:      rand.New(rand.NewChaCha8(seed)), // math/rand/v2; unpredictable
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			go func() { done(kademlia.Resolve(context.Background(), kademlia.DefaultBootstrap, nil)) }()
		},
	})
	if err != nil {
		panic(err)
	}
	n.Start()
	defer n.Close()
}

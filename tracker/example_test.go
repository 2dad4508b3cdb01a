package tracker_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// A node with a tracker, as a torrent client embeds it.
func Example() {
	dht, err := kademlia.New(kademlia.Config{
		Listen:    []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:6881")},
		Bootstrap: kademlia.DefaultBootstrap,
		StateFile: "dht.state",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer dht.Close()
	t := tracker.New(dht.Nodes(), tracker.Config{})
	dht.Start()
	t.Start()
	defer t.Close()

	infoHash, err := krpc.ParseID("c9e15763f722f23e98a29decdfae341b98d53056")
	if err != nil {
		log.Fatal(err)
	}
	// Announced now and every 15 minutes, until Untrack or Close.
	if err := t.Track(infoHash, tracker.AnnounceOptions{Port: 6881, ImpliedPort: true}); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for peer, err := range t.GetPeers(ctx, infoHash) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(peer)
	}
}

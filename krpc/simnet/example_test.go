package simnet_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

func Example() {
	clock := simnet.NewClock(time.Unix(1_800_000_000, 0))
	network := simnet.NewNetwork(clock, rand.New(rand.NewPCG(1, 0)), simnet.Link{
		Latency: simnet.ConstantLatency(40 * time.Millisecond),
	})
	server := simnet.Addr(0)
	network.Host(server, func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		out.Push(from, append(out.Buffer(), "pong"...))
	})
	start := clock.Now()
	client := network.Host(simnet.Addr(1), func(now time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
		fmt.Printf("%s from %v after %v\n", b, from, now.Sub(start))
	})
	if err := client.Send(server, []byte("ping")); err != nil {
		fmt.Println(err)
	}
	clock.Run(time.Hour) // takes no time
	// Output: pong from 1.0.95.42:6881 after 80ms
}

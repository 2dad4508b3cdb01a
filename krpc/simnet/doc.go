// Package simnet is a deterministic network in virtual time: a Clock that
// implements krpc.Clock and a Network whose hosts implement krpc.Transport. It
// drives any number of protocol objects from one goroutine. It has what goes wrong
// on real ones: latency, also as measured (ReadLatency), loss, duplication,
// reordering and corruption (Link); partitions and ways that are open in one direction
// (Network.Partition, Network.Filter); NATs; hosts that go down, are slow or move
// (Host.SetDown, Host.SetService, Host.Move); and clocks that are wrong (HostClock).
//
// A run is a function of its seeds: the same program with the same random
// sources does the same things at the same virtual nanoseconds, which
// Network.TraceHash proves. Nothing here reads the wall clock, starts a
// goroutine or iterates over a map where the order could be seen.
//
//	clock := simnet.NewClock(time.Unix(1_800_000_000, 0))
//	rng := rand.New(rand.NewPCG(seed, 0))
//	network := simnet.NewNetwork(clock, rng, simnet.Link{Loss: 0.02})
//	host := network.Host(simnet.Addr(0), deliver)
//	clock.Run(time.Hour)
//
// Unlike the clocks and transports of production, those of this package are not
// safe for concurrent use: the goroutine that runs the clock is the only one
// that may touch the clock, the network and its hosts, because a second one
// would bring the scheduler's order into the run.
package simnet

// Package scenario runs whole programs, each a node with its tracker, its items and its
// journal on a disk, in a simulated world where everything goes wrong: programs that are
// killed, machines that lose power, networks that lose, corrupt and part, clocks that are off.
// All chance comes from one seed, so that each failure can be had again.
//
// A Scenario is a list of Faults with times; Named has those that have names, and Everything
// draws one. Run builds a world, lets it live while programs announce, look up, put and get,
// mends all faults, and gives it time to settle. Meanwhile, and at the end, it holds the world
// to what must be true in any: docs/simulation.md lists it. CheckBounds is for other tests too.
// The first invariant that does not hold ends the run with a Broken, which says how to replay it.
package scenario

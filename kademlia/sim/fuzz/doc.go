// Package fuzz takes a whole program, nodes of both families with their tracker and items,
// through whatever a fuzzer thinks of: datagrams, strangers, time, calls and restarts. It holds
// the program to what must be true of it at any time, and to doing the same again for the same
// input. It has tests alone.
package fuzz

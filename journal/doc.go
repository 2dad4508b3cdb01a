// Package journal keeps the soft state of a program over its end: a log of what has changed,
// and snapshots that keep the log short. It knows no meaning of its records.
//
// # Files
//
// A directory holds logs and snapshots, numbered upwards. Snapshot n has all that was recorded
// before log n began, and some of what came after, so that the last snapshot and the logs from
// its number on are the state; what is older is removed. A log is written by one process, which never writes to one that
// it has found: what a crash has torn stays as it is until a snapshot takes its place. A log
// without a frame goes with the next Start.
//
// A file is a header, twice, and frames. A frame is what one Commit has written, with its time,
// length and checksum. It begins with a marker that each file draws for itself: after a damaged
// frame the next one is found by it, and nobody who has bytes of his own recorded can have
// them taken for a frame. Only a file of which both headers are damaged is lost.
//
// # What can be lost
//
// What Commit has written survives the end of the process, however it ends. What is synced,
// by default each second, survives a crash of the machine; Start syncs what a process before
// could not. Where a disk fails, the program goes
// on: what is recorded meanwhile is dropped, and once the disk works again a snapshot of the
// memory makes up for it.
package journal

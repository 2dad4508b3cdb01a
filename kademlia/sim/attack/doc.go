// Package attack plays hostile parties against worlds of real nodes with trackers, and
// measures what they achieve. An attack repeats itself, datagram for datagram, for the
// same seed. docs/security.md has the figures.
package attack

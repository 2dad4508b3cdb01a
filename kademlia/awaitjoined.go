package kademlia

import (
	"context"
	"fmt"
)

// AwaitJoined waits until one of nodes has joined the DHT. The error is ctx's, and
// ErrNotJoined if that ended before.
func AwaitJoined(ctx context.Context, nodes []*Node) error {
	if err := ctx.Err(); err != nil || AnyJoined(nodes) {
		return err
	}
	joined := make(chan struct{}, len(nodes))
	for _, n := range nodes {
		defer n.WhenJoined(func() { joined <- struct{}{} })()
	}
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotJoined, ctx.Err())
	}
}

// AnyJoined tells whether one of nodes has joined the DHT.
func AnyJoined(nodes []*Node) bool {
	for _, n := range nodes {
		if n.Joined() {
			return true
		}
	}
	return false
}

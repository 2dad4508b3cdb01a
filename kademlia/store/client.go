package store

import (
	"context"
	"errors"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

var (
	// ErrNotFound ends a get of an item that no node has.
	ErrNotFound = errors.New("store: get: not found")
	// ErrNotNewer ends a get of an item of which there are only versions not newer than
	// GetOptions.Seen, by the word of the nodes.
	ErrNotNewer = errors.New("store: get: nothing newer")
)

// Get looks up the item at target, as FindItem does, once a node has joined the DHT, and
// waits for the outcome. The error is nil if it was found, and else ctx's, kademlia's,
// ErrNotFound or ErrNotNewer. If no lookup ran to its end the result may have a mutable
// item all the same: there may be a newer one.
func (s *Items) Get(ctx context.Context, target krpc.ID, o GetOptions) (FindResult, error) {
	if err := kademlia.AwaitJoined(ctx, s.nodes); err != nil {
		return FindResult{}, err
	}
	done := make(chan FindResult, 1)
	stop := s.FindItem(target, o, func(res FindResult) { done <- res })
	defer context.AfterFunc(ctx, stop)()
	res := <-done
	err := kademlia.LookupsFailed(res.Lookups)
	switch {
	case res.Found && (err == nil || !res.Item.Mutable()):
		return res, nil
	case err != nil && ctx.Err() != nil:
		return res, ctx.Err()
	case err != nil:
		return res, err
	case res.Holders > 0:
		return res, ErrNotNewer
	}
	return res, ErrNotFound
}

// Put puts it, as PutItem does, once a node has joined the DHT, and waits for the
// outcome. The error is nil if at least one node has stored it, and else one of
// PutItem's or ctx's. The result tells of the nodes that were asked in any case.
func (s *Items) Put(ctx context.Context, it Item, o PutOptions) (PutResult, error) {
	if err := it.Check(); err != nil {
		return PutResult{}, err
	}
	if err := kademlia.AwaitJoined(ctx, s.nodes); err != nil {
		return PutResult{}, err
	}
	type outcome struct {
		res PutResult
		err error
	}
	done := make(chan outcome, 1)
	stop := s.PutItem(it, o, func(res PutResult, err error) { done <- outcome{res, err} })
	defer context.AfterFunc(ctx, stop)()
	end := <-done
	if errors.Is(end.err, kademlia.ErrStopped) && ctx.Err() != nil {
		end.err = ctx.Err()
	}
	return end.res, end.err
}

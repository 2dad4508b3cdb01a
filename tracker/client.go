package tracker

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"sync"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// ErrNotStored ends an announce that no node has accepted.
var ErrNotStored = errors.New("tracker: announce: no node has stored the peer")

// GetPeers looks up the peers of ih and yields each once, as it is found: the call
// blocks between them, and before them until a node has joined the DHT. It ends with
// the lookup; if that was cut short, the last thing yielded is the error, ctx's or
// kademlia's, with an invalid address. To break out stops the lookup. A consumer may
// be as slow as it likes.
func (t *Tracker) GetPeers(ctx context.Context, ih krpc.ID) iter.Seq2[netip.AddrPort, error] {
	return func(yield func(netip.AddrPort, error) bool) {
		if err := kademlia.AwaitJoined(ctx, t.nodes); err != nil {
			yield(netip.AddrPort{}, err)
			return
		}
		found := peerQueue{ready: make(chan struct{}, 1)}
		stop := t.FindPeers(ih, found.push, found.end)
		defer stop()
		for {
			select {
			case <-found.ready:
			case <-ctx.Done():
				yield(netip.AddrPort{}, ctx.Err())
				return
			}
			peers, ended, err := found.take()
			for _, p := range peers {
				if !yield(p, nil) {
					return
				}
			}
			if ended {
				if err != nil {
					yield(netip.AddrPort{}, err)
				}
				return
			}
		}
	}
}

// peerQueue takes peers from a search to a goroutine that waits for them. It is
// bounded by the peers that a search may find.
type peerQueue struct {
	ready chan struct{} // has something to take; of capacity 1

	mu    sync.Mutex // guards what follows
	peers []netip.AddrPort
	ended bool
	err   error
}

func (q *peerQueue) push(p netip.AddrPort) {
	q.mu.Lock()
	q.peers = append(q.peers, p)
	q.mu.Unlock()
	q.signal()
}

func (q *peerQueue) end(res PeersResult) {
	q.mu.Lock()
	q.ended, q.err = true, kademlia.LookupsFailed(res.Lookups)
	q.mu.Unlock()
	q.signal()
}

func (q *peerQueue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *peerQueue) take() (peers []netip.AddrPort, ended bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	peers, q.peers = q.peers, nil
	return peers, q.ended, q.err
}

// Announce announces this host as a peer of ih, as AnnouncePeer does, once a node
// has joined the DHT, and waits for the outcome. The error is nil if at least one node has stored it, and else
// ErrNoPort, ctx's, kademlia's or ErrNotStored. The result tells of the nodes that
// were asked in any case.
func (t *Tracker) Announce(ctx context.Context, ih krpc.ID, o AnnounceOptions) (AnnounceResult, error) {
	if err := o.validate(); err != nil {
		return AnnounceResult{}, err
	}
	if err := kademlia.AwaitJoined(ctx, t.nodes); err != nil {
		return AnnounceResult{}, err
	}
	done := make(chan AnnounceResult, 1)
	stop, err := t.AnnouncePeer(ih, o, nil, func(res AnnounceResult) { done <- res })
	if err != nil {
		return AnnounceResult{}, err
	}
	defer context.AfterFunc(ctx, stop)()
	res := <-done
	switch {
	case res.Stored > 0:
		return res, nil
	case ctx.Err() != nil:
		return res, ctx.Err()
	}
	if err := kademlia.LookupsFailed(res.Lookups); err != nil {
		return res, err
	}
	return res, ErrNotStored
}

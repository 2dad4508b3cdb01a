package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"time"
)

const (
	// maxUpdates is how often an Update tries.
	maxUpdates = 16
	// The longest random wait after a lost race is updateWait at first, about what a get
	// and a put take, and doubles up to maxUpdateWait.
	updateWait    = 2 * time.Second
	maxUpdateWait = 30 * time.Second
)

// ErrContended ends an Update that lost every race: others change the item all the time.
var ErrContended = errors.New("store: update: others were faster each time")

// Update changes the mutable item of a key and a salt: it gets the newest version, has
// change make the new value of it, signs and puts that by compare and swap (BEP 44), and
// begins anew as long as others do so at the same time. change is given nil if there is
// no item yet, and may not modify the one that it is given. If it returns the value that
// is there, that is put again as it is.
//
// change is called on the goroutine of Update, more than once after a lost race. A put
// can reach some nodes and lose all the same, and who wins may have read it there: a
// change should see whether it is made already. Two writers that make the same value of
// the same version count as one. So a counter is best kept as one number a writer.
//
// The error is nil once the value is what others get, and else change's, Get's, Put's or
// ErrContended. The item is the one that was put last.
func (s *Items) Update(ctx context.Context, key ed25519.PrivateKey, salt []byte, change func(old *Item) (v []byte, err error)) (Item, PutResult, error) {
	u := update{items: s, key: key, salt: salt, change: change}
	for try := range maxUpdates {
		if err := u.read(ctx, try); err != nil {
			return u.item, u.res, err
		}
		if u.inPlace() && !u.found.Contested {
			return u.item, u.res, nil
		}
		again, err := u.write(ctx)
		if !again {
			return u.item, u.res, err
		}
	}
	return u.item, u.res, ErrContended
}

// update is an Update under way.
type update struct {
	items  *Items
	key    ed25519.PrivateKey
	salt   []byte
	change func(*Item) ([]byte, error)

	found FindResult // what was read last
	item  Item       // what was put last
	put   bool       // some nodes may have stored item
	res   PutResult
}

// inPlace tells whether what was read is what was put.
func (u *update) inPlace() bool { return u.put && u.found.Found && u.found.Item.same(&u.item) }

// read gets the newest version. Unless it is ours, the others are first given time to
// finish what they are about: who puts on top of half a put loses the other half.
func (u *update) read(ctx context.Context, try int) error {
	if u.put {
		if err := u.get(ctx); err != nil || u.inPlace() {
			return err
		}
	}
	if try > 0 {
		if err := u.items.pause(ctx, try); err != nil {
			return err
		}
	}
	return u.get(ctx)
}

func (u *update) get(ctx context.Context) (err error) {
	target := MutableTarget(u.key.Public().(ed25519.PublicKey), u.salt)
	u.found, err = u.items.Get(ctx, target, GetOptions{Salt: u.salt})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// write puts the changed value. It reports whether to begin anew.
func (u *update) write(ctx context.Context) (again bool, err error) {
	next, o, err := u.next()
	if err != nil {
		return false, err
	}
	res, err := u.items.Put(ctx, next, o)
	u.item, u.res = next, res
	if errors.Is(err, ErrOutdated) || errors.Is(err, ErrConflict) {
		u.put = res.Newer == nil // else nothing was sent
		return true, nil
	}
	u.put = true
	if res.Contradicted() {
		return true, nil
	}
	return false, err
}

// next returns the item to put, and how.
func (u *update) next() (it Item, o PutOptions, err error) {
	v, err := u.value()
	if err != nil {
		return it, o, err
	}
	old := &u.found.Item
	switch {
	case !u.found.Found:
		it, err = Sign(u.key, u.salt, 1, v)
	case bytes.Equal(v, old.V) && !u.found.Contested:
		it = *old
	case old.Seq == math.MaxInt64: // there is nothing above
		err = ErrSeqOutOfRange
	default:
		it, err = Sign(u.key, u.salt, old.Seq+1, v)
		o.Cas = &old.Seq
	}
	return it, o, err
}

// value returns the value to put.
func (u *update) value() ([]byte, error) {
	switch {
	case !u.found.Found:
		return u.change(nil)
	case u.inPlace():
		return u.item.V, nil // It has a rival: with a Seq of its own it wins everywhere.
	}
	return u.change(&u.found.Item)
}

// pause waits for a random time, longer from try to try.
func (s *Items) pause(ctx context.Context, try int) error {
	most := min(updateWait<<(try-1), maxUpdateWait)
	s.mu.Lock()
	d := time.Duration(s.rng.Int64N(int64(most)))
	s.mu.Unlock()
	over := make(chan struct{})
	defer s.clock.AfterFunc(d, func() { close(over) }).Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

// inquirer asks a node on loopback many things at a time, for one goroutine.
type inquirer struct {
	client *udp.Client
	target netip.AddrPort
	asked  uint32
	waits  map[uint32]*inquiry // those under way, by transaction
	then   []*inquiry          // to be asked next

	open    bool          // there may be more to ask
	silence time.Duration // after which everything is asked again
}

// inquiry is a query, and what to do with its reply, which may be an error and is valid during
// the call.
type inquiry struct {
	from     netip.Addr // the zero Addr: what the kernel chooses
	query    krpc.Message
	answered func(r *krpc.Message)
}

func newInquirer(t *testing.T, target netip.AddrPort) *inquirer {
	t.Helper()
	local := netip.AddrPortFrom(target.Addr(), 0)
	if target.Addr().Is4() && udp.CanChooseSource {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	c, err := udp.NewClient(local, udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &inquirer{client: c, target: target, waits: make(map[uint32]*inquiry), silence: 200 * time.Millisecond}
}

// address returns the n-th of the addresses to ask from, of as many as there are.
func (i *inquirer) address(n int) netip.Addr {
	if !i.target.Addr().Is4() || !udp.CanChooseSource {
		return i.target.Addr()
	}
	return netip.AddrFrom4([4]byte{127, byte(1 + n%250), byte(1 + n/250%250), 9})
}

// askedAtOnce is how many inquiries are under way.
const askedAtOnce = 64

// ask asks what next returns, until that is nil, and what the replies lead to, each until it is
// answered. It gives up when there was no reply for the time of patience, and after a minute. When
// until is closed it takes the replies that have come, and ends.
func (i *inquirer) ask(next func() *inquiry, until <-chan struct{}) error {
	i.open = true
	end, heard := time.Now().Add(time.Minute), time.Now()
	for i.fill(next); len(i.waits) > 0; i.fill(next) {
		wake := time.Now().Add(min(i.silence, 200*time.Millisecond))
		ended := isClosed(until)
		if ended {
			wake = time.Time{}
		}
		n, err := i.client.Receive(wake)
		now := time.Now()
		switch replies := i.take(n); {
		case err != nil:
			return err
		case ended && n == 0:
			clear(i.waits)
			i.then = nil
			return nil
		case replies > 0 && now.Before(end):
			heard = now
		case now.Sub(heard) > patience || now.After(end):
			return fmt.Errorf("%d queries without an answer", len(i.waits))
		case now.Sub(heard) > i.silence:
			for tid := range i.waits {
				i.send(tid)
			}
		}
	}
	return nil
}

// fill asks as many as may be under way.
func (i *inquirer) fill(next func() *inquiry) {
	for len(i.waits) < askedAtOnce {
		q := i.following()
		if q == nil && i.open {
			q = next()
			i.open = q != nil
		}
		if q == nil {
			break
		}
		i.asked++
		i.waits[i.asked] = q
		i.send(i.asked)
	}
	i.client.Flush()
}

// all asks all of the inquiries.
func (i *inquirer) all(t *testing.T, inquiries []*inquiry) {
	t.Helper()
	next := func() *inquiry {
		if len(inquiries) == 0 {
			return nil
		}
		q := inquiries[0]
		inquiries = inquiries[1:]
		return q
	}
	if err := i.ask(next, nil); err != nil {
		t.Fatal(err)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (i *inquirer) following() *inquiry {
	if len(i.then) == 0 {
		return nil
	}
	q := i.then[0]
	i.then = slices.Delete(i.then, 0, 1)
	return q
}

func (i *inquirer) send(tid uint32) {
	q := i.waits[tid]
	q.query.Kind, q.query.HasID = krpc.KindQuery, true
	q.query.TID = binary.BigEndian.AppendUint32(q.query.TID[:0], tid)
	i.client.Push(q.from, i.target, q.query.Append(i.client.Buffer()))
}

// take takes the replies among so many datagrams, and returns their number.
func (i *inquirer) take(datagrams int) (replies int) {
	var m krpc.Message
	for n := range datagrams {
		from, _, b, ok := i.client.Datagram(n)
		if !ok || from != i.target || m.Decode(b) != nil || m.Kind == krpc.KindQuery || len(m.TID) != 4 {
			continue // among them queries: the node wants to know who we are
		}
		tid := binary.BigEndian.Uint32(m.TID)
		if q := i.waits[tid]; q != nil {
			delete(i.waits, tid)
			q.answered(&m)
			replies++
		}
	}
	return replies
}

// errorOf returns the error that a reply is, or that its kind of query should not have had.
func errorOf(r *krpc.Message) error {
	if r.Kind == krpc.KindError {
		return fmt.Errorf("error %d: %s", r.ErrorCode, r.ErrorText)
	}
	return nil
}

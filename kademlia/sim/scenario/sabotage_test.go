package scenario

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// What is done to a world behind its back is found: an invariant that never fails proves nothing.
func TestInvariantsFindSabotage(t *testing.T) {
	for _, c := range []struct {
		name     string
		sabotage func(w *world, h *host)
		says     string
	}{
		{"a node whose timers are lost", func(w *world, h *host) { h.life.nodes[0].Close() }, "secret of its tokens"},
		{"a tracker whose timers are lost", func(w *world, h *host) { h.life.tracker.Close() }, "has not announced"},
		{"a peer that was acknowledged, and lost", func(w *world, h *host) {
			now := h.clock.Now()
			h.promises.peers[peerKey{krpc.RandomID(w.rand), simnet.Addr(99).Addr()}] = peerPromise{promise{now, now.Add(peerLife)}, 1}
		}, "has forgotten the peer"},
		{"an item that was acknowledged, and lost", func(w *world, h *host) {
			now := h.clock.Now()
			h.promises.items[krpc.RandomID(w.rand)] = itemPromise{promise: promise{now, now.Add(time.Hour)}}
		}, "has forgotten the item"},
		{"a contact who has never answered", func(w *world, h *host) { clear(h.answered) }, "never answered"},
		{"an operation that does not end", func(w *world, h *host) { h.life.begin("wait") }, "under way"},
		{"two answers", func(w *world, h *host) {
			w.outbox.pushed = 2
			w.checkAnswer(h.ends[0], simnet.Addr(1), new(krpc.Message), nil)
		}, "answers 2 times"},
		{"a long answer", func(w *world, h *host) {
			q := krpc.Message{Kind: krpc.KindQuery, TID: []byte("aa")}
			r := krpc.Message{Kind: krpc.KindReply, TID: []byte("aa"), Token: make([]byte, krpc.MaxReply)}
			w.outbox = outbox{pushed: 1, to: simnet.Addr(1), b: r.Append(nil)}
			w.checkAnswer(h.ends[0], simnet.Addr(1), &q, nil)
		}, "bytes"},
		{"a datagram of a program that has ended", func(w *world, h *host) {
			p := h.life
			h.kill(false)
			(&wire{p, h.ends[0]}).Send(simnet.Addr(1), nil)
		}, "sends after"},
		{"a panic", func(*world, *host) { panic("oops") }, "panic: oops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sabotaged := false
			var w *world
			cfg := Config{Scenario: Scenario{Name: "calm"}, Seed: 1, Nodes: 12, Length: 40 * time.Minute, SkipFinal: true}
			cfg.Progress = func(p Progress) bool {
				if p.Time > 20*time.Minute && !sabotaged {
					sabotaged = true
					c.sabotage(w, w.hosts[1])
				}
				return true
			}
			_, err := runWith(cfg, func(made *world) { w = made })
			var b *Broken
			if !errors.As(err, &b) || !strings.Contains(b.What, c.says) {
				t.Fatalf("%v, want what says %q", err, c.says)
			}
			if b.Seed != 1 || b.At < 20*time.Minute || len(b.Trace) == 0 || !strings.Contains(b.Replay, "--scenario calm --seed 1 --nodes 12") {
				t.Errorf("seed %d, after %v, %d lines, %s", b.Seed, b.At, len(b.Trace), b.Replay)
			}
		})
	}
}

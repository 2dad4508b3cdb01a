package main

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker/indexer"
)

const (
	// joinPatience is for how long a sweep, which need not have a --timeout, tries to
	// join.
	joinPatience = 30 * time.Second

	reportInterval = 5 * time.Second
	saveInterval   = 30 * time.Second

	// maxUnwritten bounds the info-hashes that wait for whoever reads our output.
	maxUnwritten = 1 << 20
)

var errUnread = errors.New("standard output is not read fast enough; a lower --rate helps")

// sweepOptions are the flags of sample --all.
type sweepOptions struct {
	rate       float64
	checkpoint string
}

// sweepAll asks every node of the DHT, until ctx ends.
func sweepAll(ctx context.Context, c *client, o *sweepOptions) error {
	if o.rate == 0 {
		return usagef("--rate 0: want more")
	}
	file, err := readCheckpoints(o.checkpoint)
	if err != nil {
		return err
	}
	// What cannot be written is to be known now, not after days.
	if err := file.write(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	c.sendRate = -1 // the sweep has its own
	joining, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	srv, err := c.join(joining)
	if err != nil {
		return err
	}
	defer srv.close()
	s, err := newSweep(srv.dht.Nodes(), file, o.rate, c.out.w, c.stderr)
	if err != nil {
		return err
	}
	// That nobody reads the output is to be an error, not the end of us.
	signal.Ignore(syscall.SIGPIPE)
	err = s.run(ctx)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return nil
	case err == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !s.complete():
		return errors.New("--timeout has ended the sweep before it was complete")
	}
	return err
}

// sweep is a sweep through the DHT of each address family.
type sweep struct {
	w      *bufio.Writer // of info-hashes
	stderr io.Writer
	file   *checkpointFile
	parts  []*familySweep
	news   chan struct{} // has a value when there are info-hashes to write
	ended  chan error    // how a part has ended

	mu    sync.Mutex // guards what follows
	found []krpc.ID  // to be written
	late  bool       // they were too many
}

// newSweep returns a sweep by the first node of each family that has joined.
func newSweep(nodes []*kademlia.Node, file *checkpointFile, rate float64, stdout, stderr io.Writer) (*sweep, error) {
	s := &sweep{
		w: bufio.NewWriter(stdout), stderr: stderr, file: file,
		news: make(chan struct{}, 1), ended: make(chan error, len(families)),
	}
	var taken [len(families)]bool
	for _, n := range nodes {
		f := familyOf(n)
		if taken[f] || !n.Joined() {
			continue
		}
		taken[f] = true
		if err := s.add(n, rate); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sweep) add(n *kademlia.Node, rate float64) error {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	p := &familySweep{family: familyOf(n)}
	ix, err := indexer.New(indexer.Config{
		Node:     n,
		Rand:     rand.New(rand.NewChaCha8(seed)),
		Rate:     rate,
		OnSample: func(ih krpc.ID) { s.take(p, ih) },
		OnDone:   func(err error) { s.ended <- err },
		Resume:   s.file.checkpoints[p.family],
	})
	if err != nil {
		return err
	}
	p.Indexer = ix
	s.parts = append(s.parts, p)
	return nil
}

// take takes an info-hash to be written, and ends the sweep if too many wait for that.
func (s *sweep) take(p *familySweep, ih krpc.ID) {
	s.mu.Lock()
	s.found = append(s.found, ih)
	late := len(s.found) > maxUnwritten
	s.late = s.late || late
	s.mu.Unlock()
	trySend(s.news, struct{}{})
	if late {
		p.Stop()
	}
}

// run sweeps until all is done or ctx ends, and writes what is found.
func (s *sweep) run(ctx context.Context) error {
	defer s.stop()
	s.start()
	report, save := time.NewTicker(reportInterval), time.NewTicker(saveInterval)
	defer report.Stop()
	defer save.Stop()
	var failed error
	quit := ctx.Done()
	for left := len(s.parts); left > 0; {
		select {
		case <-s.news:
			if err := s.write(); err != nil {
				return err
			}
		case <-save.C:
			if err := s.save(); err != nil {
				return err
			}
		case <-report.C:
			s.report()
		case <-quit:
			quit = nil
			s.stop()
		case err := <-s.ended:
			left--
			if !errors.Is(err, kademlia.ErrStopped) {
				failed = errors.Join(failed, err)
			}
		}
	}
	return errors.Join(failed, s.finish())
}

func (s *sweep) start() {
	now := time.Now()
	for _, p := range s.parts {
		p.reported, p.at = p.Progress(), now
		p.Start()
	}
}

func (s *sweep) stop() {
	for _, p := range s.parts {
		p.Stop()
	}
}

// write writes the info-hashes that were found.
func (s *sweep) write() error {
	s.mu.Lock()
	found := s.found
	s.found = nil
	s.mu.Unlock()
	out := output{s.w, true}
	for _, ih := range found {
		err := out.print("", struct {
			InfoHash string `json:"infohash"`
		}{ih.String()})
		if err != nil {
			return err
		}
	}
	return s.w.Flush()
}

// save writes the checkpoint, after all that was found up to it. The error is that of
// the output; a checkpoint that cannot be written now may be so the next time.
func (s *sweep) save() error {
	s.note()
	if err := s.write(); err != nil {
		return err
	}
	if err := s.file.write(); err != nil {
		fmt.Fprintln(s.stderr, "warning: no checkpoint:", err)
	}
	return nil
}

func (s *sweep) note() {
	for _, p := range s.parts {
		s.file.checkpoints[p.family] = p.Checkpoint()
	}
}

// finish writes what is left to write after the sweep has ended. A complete sweep leaves
// no checkpoint, so that the next one begins anew.
func (s *sweep) finish() error {
	s.note()
	if err := s.write(); err != nil {
		return err
	}
	for _, p := range s.parts {
		fmt.Fprintln(s.stderr, p.summary())
	}
	end := s.file.write
	if s.complete() {
		end = s.file.remove
	}
	if err := end(); err != nil {
		return err
	}
	if s.late {
		return errUnread
	}
	return nil
}

// complete tells whether every node has been asked.
func (s *sweep) complete() bool {
	return !slices.ContainsFunc(s.parts, func(p *familySweep) bool { return !p.Progress().Done })
}

func (s *sweep) report() {
	now := time.Now()
	for _, p := range s.parts {
		if !p.reported.Done {
			fmt.Fprintln(s.stderr, p.report(now))
		}
	}
}

// familySweep is the sweep through the DHT of one family.
type familySweep struct {
	*indexer.Indexer
	family   int              // index of families
	reported indexer.Progress // last, at the time at
	at       time.Time
}

// report returns a line about how far the sweep is.
func (p *familySweep) report(now time.Time) string {
	prog := p.Progress()
	rate := float64(prog.Hashes-p.reported.Hashes) / now.Sub(p.at).Seconds()
	p.reported, p.at = prog, now
	line := fmt.Sprintf("%s: %d nodes visited, %d info-hashes, %.0f a second, %.1f %% done",
		families[p.family], prog.Visited, prog.Hashes, rate, 100*prog.Share)
	if prog.NetworkSize > 0 {
		line += fmt.Sprintf(", network of some %d nodes", prog.NetworkSize)
	}
	if prog.TimeLeft > 0 {
		line += fmt.Sprintf(", %v left", prog.TimeLeft.Round(time.Second))
	}
	return line
}

// summary returns a line about a sweep that has ended.
func (p *familySweep) summary() string {
	prog := p.Progress()
	state := "complete"
	if !prog.Done {
		state = fmt.Sprintf("ended at %.1f %%", 100*prog.Share)
	}
	return fmt.Sprintf("%s: %s: %d nodes visited, %d of them answered, %d of these with samples; %d info-hashes by %d queries",
		families[p.family], state, prog.Visited, prog.Answered, prog.Supporting, prog.Hashes, prog.Queries)
}

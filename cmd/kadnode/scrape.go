package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// maxScraping bounds the scrapes at a time.
const maxScraping = 16

func newScrapeCommand() *cobra.Command {
	return newClientCommand(&cobra.Command{
		Use:   "scrape HASH...",
		Short: "Estimate how many peers torrents have",
		Long: `Estimate how many seeds and other peers torrents have (BEP 33), from the sums that the
nodes closest to each have of their peers' addresses: several peers at one IP address
count as one. Nodes without BEP 33 tell some of their peers instead, which do not count
as seeds. The status is 1 if no peer was found of one of the torrents.

HASH is an info-hash of 40 hexadecimal or 32 base32 digits, a magnet link, or the
name of a .torrent file.`,
		Args: cobra.MinimumNArgs(1),
	}, scrape)
}

// scraped is the outcome for one of the torrents.
type scraped struct {
	ih  krpc.ID
	res tracker.ScrapeResult
	err error
}

func scrape(ctx context.Context, c *client, args []string) error {
	hashes := make([]krpc.ID, len(args))
	for i, s := range args {
		var err error
		if hashes[i], err = readInput(ctx, c, func() (krpc.ID, error) { return parseInfoHash(s) }); err != nil {
			return err
		}
	}
	srv, err := c.join(ctx)
	if err != nil {
		return err
	}
	defer srv.close()
	failed, empty := 0, 0
	for _, result := range startScrapes(ctx, srv.tracker, hashes) {
		s := <-result
		if s.err != nil {
			failed++
			c.log.Error("not scraped", "hash", s.ih, "err", c.explain(s.err, "answer"))
			continue
		}
		if s.res.Seeds+s.res.Peers == 0 {
			empty++
		}
		if err := s.print(c.out); err != nil {
			return err
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d torrents were not scraped", failed, len(hashes))
	case empty > 0:
		return fmt.Errorf("no peer found of %d of %d torrents", empty, len(hashes))
	}
	return nil
}

// startScrapes scrapes all hashes and returns where each outcome comes, in their order.
func startScrapes(ctx context.Context, t *tracker.Tracker, hashes []krpc.ID) []chan scraped {
	results := make([]chan scraped, len(hashes))
	places := make(chan struct{}, maxScraping)
	for i, ih := range hashes {
		results[i] = make(chan scraped, 1)
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			res, err := t.Scrape(ctx, ih)
			results[i] <- scraped{ih, res, err}
		}()
	}
	return results
}

// counted returns n and what it counts, which takes an s unless n is 1.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *scraped) print(out output) error {
	text := fmt.Sprintf("%s %s, %s, by %s", s.ih, counted(s.res.Seeds, "seed"), counted(s.res.Peers, "other peer"), counted(s.res.Nodes, "node"))
	if s.res.Legacy > 0 {
		text += fmt.Sprintf(" and %d without BEP 33", s.res.Legacy)
	}
	return out.print(text, struct {
		Hash   string `json:"hash"`
		Seeds  int    `json:"seeds"`
		Peers  int    `json:"peers"`
		Nodes  int    `json:"nodes"`
		Legacy int    `json:"legacy_nodes"`
	}{s.ih.String(), s.res.Seeds, s.res.Peers, s.res.Nodes, s.res.Legacy})
}

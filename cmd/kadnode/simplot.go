package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim/scenario"
)

const (
	// The worlds in which hops are counted: four times as many programs each, from leastPlot on,
	// and for some minutes.
	leastPlot    = 16
	plotFactor   = 4
	plotMinutes  = 5
	plotLookups  = 12 * 1000 // an hour
	churnNodes   = 200       // at most, in the worlds that differ in churn
	cdfPoints    = 400
	plotFileMode = 0o644
)

// churnSessions are the mean sessions of the worlds that differ in churn.
var churnSessions = [...]time.Duration{5, 10, 15, 20, 30, 45, 60, 90, 120}

// plot runs the worlds that the plots need beside the one that r is of, and writes them.
func (s *simulation) plot(ctx context.Context, r scenario.Report) error {
	hops, err := s.plotHops(ctx, r.Nodes)
	if err != nil {
		return err
	}
	churn, err := s.plotChurn(ctx, r.Nodes)
	if err != nil {
		return err
	}
	for i, c := range [...]*chart{hops, churn, plotLoad(r), plotTimes(r)} {
		path := filepath.Join(s.o.plot, plotFiles[i])
		if err := os.WriteFile(path, c.svg(), plotFileMode); err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		fmt.Fprintf(s.stderr, "wrote %s\n", path)
	}
	return nil
}

// plotFiles are what plot writes.
var plotFiles = [...]string{"hops.svg", "churn.svg", "load.svg", "times.svg"}

// tryPlots makes the directory of plots, and sees whether each can be written there: a run is long,
// and it would be a pity to find out at its end.
func tryPlots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".kadnode-plot-*")
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	for _, name := range plotFiles {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("plot: %w", err)
		}
	}
	return nil
}

// plotHops draws hops against the logarithm of the number of nodes, without faults.
func (s *simulation) plotHops(ctx context.Context, most int) (*chart, error) {
	var sizes []int
	for n := leastPlot; n < most; n *= plotFactor {
		sizes = append(sizes, n)
	}
	mean, p99 := chartLine{name: "mean", dots: true}, chartLine{name: "p99", dots: true}
	for _, n := range append(sizes, most) {
		calm, _ := scenario.Named("calm")
		r, err := scenario.Run(scenario.Config{Scenario: calm, Seed: s.o.seed, Nodes: n, Length: plotMinutes * time.Minute,
			Lookups: plotLookups, SkipFinal: true, Progress: s.progress(ctx, fmt.Sprintf("hops, %d nodes", n))})
		if err != nil {
			return nil, s.explain(err)
		}
		at := math.Log2(float64(n))
		mean.points = append(mean.points, chartPoint{at, r.Lookups.Hops.Mean})
		p99.points = append(p99.points, chartPoint{at, r.Lookups.Hops.P99})
	}
	return &chart{title: fmt.Sprintf("Hops of a lookup (seed %d)", s.o.seed), x: "log2 of the number of nodes", y: "hops", lines: []chartLine{mean, p99}}, nil
}

// plotChurn draws the success of get_peers against the length of sessions, with the loss that
// was asked for.
func (s *simulation) plotChurn(ctx context.Context, most int) (*chart, error) {
	peers, gets := chartLine{name: "get_peers", dots: true}, chartLine{name: "get (BEP 44)", dots: true}
	least := 100.
	for _, minutes := range churnSessions {
		cfg := s.o.config()
		cfg.Scenario, _ = scenario.Named("churn")
		cfg.Nodes, cfg.Session, cfg.Progress = min(most, churnNodes), minutes*time.Minute, s.progress(ctx, fmt.Sprintf("churn, sessions of %d minutes", minutes))
		cfg.Lookups, cfg.SkipFinal = 10*cfg.Nodes, true
		r, err := scenario.Run(cfg)
		if err != nil {
			return nil, s.explain(err)
		}
		peers.points = append(peers.points, chartPoint{float64(minutes), 100 * r.GetPeers.Success})
		gets.points = append(gets.points, chartPoint{float64(minutes), 100 * r.Gets.Success})
		least = min(least, 100*r.GetPeers.Success, 100*r.Gets.Success)
	}
	title := fmt.Sprintf("Lookups that find a live peer, an item (%d nodes, loss %g, seed %d)", min(most, churnNodes), s.o.loss, s.o.seed)
	return &chart{title: title, x: "mean session, minutes", y: "found, %", fromY: min(99, math.Floor(least)), toY: 100, lines: []chartLine{peers, gets}}, nil
}

// plotLoad draws the load of nodes over time.
func plotLoad(r scenario.Report) *chart {
	mean, p99, most := chartLine{name: "mean"}, chartLine{name: "p99"}, chartLine{name: "max"}
	for _, m := range r.LoadOverTime {
		mean.points = append(mean.points, chartPoint{m.Minute, m.Mean})
		p99.points = append(p99.points, chartPoint{m.Minute, m.P99})
		most.points = append(most.points, chartPoint{m.Minute, m.Max})
	}
	return &chart{title: plotTitle("Load by node", r), x: "virtual time, minutes", y: "datagrams received a second", lines: []chartLine{mean, p99, most}}
}

// plotTimes draws the distribution of the times that lookups take.
func plotTimes(r scenario.Report) *chart {
	c := &chart{title: plotTitle("Time of lookups", r), x: "seconds", y: "ended within, %", toY: 100}
	for _, l := range []struct {
		name  string
		times []float64
	}{{"lookup", r.Lookups.Times}, {"get_peers: first peer", r.GetPeers.FirstTimes}, {"get_peers: end", r.GetPeers.Times}, {"get: end", r.Gets.Times}} {
		c.lines = append(c.lines, chartLine{name: l.name, points: cdf(l.times)})
	}
	return c
}

// cdf returns the cumulative distribution of ascending values, in percent.
func cdf(values []float64) (points []chartPoint) {
	n := len(values)
	for i := range min(n, cdfPoints) {
		at := (i+1)*n/min(n, cdfPoints) - 1
		points = append(points, chartPoint{values[at], 100 * float64(at+1) / float64(n)})
	}
	return slices.Clip(points)
}

func plotTitle(what string, r scenario.Report) string {
	return fmt.Sprintf("%s (%s, %d nodes, seed %d)", what, r.Scenario, r.Nodes, r.Seed)
}

package simnet

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxSamples bounds the lines that ReadLatency takes in.
	maxSamples = 1 << 20
	// maxSampleRTT is the longest round-trip time that it believes.
	maxSampleRTT = 10 * time.Minute
)

// ReadLatency reads measured round-trip times and gives them to pairs of addresses, as
// LognormalRTT does with its own: to each pair one for the whole run, chosen by seed, of
// which a datagram takes half, less 5 to plus 10 percent.
//
// r is text with a round-trip time a line: 0 to 10 minutes as Go writes it ("87.3ms"), or in
// milliseconds ("87.3"). These are samples, in any order, at most 1 048 576 of them. Or each
// line has a quantile from 0 to 1 before it ("0.95 350ms"); then both columns ascend, between
// two lines the times are interpolated, and before the first and after the last they stay
// the same. Empty lines are skipped, and what follows a "#".
//
// The error tells the line. A reader that fails, or has no line, is one too.
func ReadLatency(r io.Reader, seed uint64) (LatencyFunc, error) {
	points, err := readPoints(r)
	if err != nil {
		return nil, fmt.Errorf("simnet: read latency: %w", err)
	}
	var q quantileTable
	for i := range q {
		// Times one way.
		q[i] = (at(points, (float64(i)+.5)/float64(len(q))) / 2).Round(time.Microsecond)
	}
	return q.latency(seed), nil
}

// point is a quantile of a distribution.
type point struct {
	share float64
	rtt   time.Duration
}

// readPoints reads the lines of r as the ascending quantiles that they are or make up.
func readPoints(r io.Reader) ([]point, error) {
	var points []point
	columns := 0
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		p, err := parsePoint(fields)
		switch {
		case err != nil:
		case len(points) > 0 && len(fields) != columns:
			err = errors.New("want as many columns as before")
		case len(points) == maxSamples:
			err = fmt.Errorf("more than %d lines", maxSamples)
		case columns == 2 && (p.share <= points[len(points)-1].share || p.rtt < points[len(points)-1].rtt):
			err = errors.New("want both columns to ascend")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		columns = len(fields)
		points = append(points, p)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(points) == 0 {
		return nil, errors.New("no line has a time")
	}
	if columns == 1 {
		spread(points)
	}
	return points, nil
}

func parsePoint(fields []string) (p point, err error) {
	if len(fields) > 2 {
		return p, errors.New("want [QUANTILE] TIME")
	}
	if len(fields) == 2 {
		p.share, err = strconv.ParseFloat(fields[0], 64)
		if err != nil || !(p.share >= 0 && p.share <= 1) {
			return p, fmt.Errorf("quantile %q: want 0 to 1", fields[0])
		}
	}
	text := fields[len(fields)-1]
	if ms, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(ms) <= float64(maxSampleRTT/time.Millisecond) {
		p.rtt = time.Duration(ms * float64(time.Millisecond))
	} else if p.rtt, err = time.ParseDuration(text); err != nil {
		return p, fmt.Errorf("time %q: want one like 87.3ms, or milliseconds, up to %v", text, maxSampleRTT)
	}
	if p.rtt < 0 || p.rtt > maxSampleRTT {
		return p, fmt.Errorf("time %q: want 0 to %v", text, maxSampleRTT)
	}
	return p, nil
}

// spread makes quantiles of samples: each stands for its part of the distribution.
func spread(samples []point) {
	slices.SortFunc(samples, func(a, b point) int { return cmp.Compare(a.rtt, b.rtt) })
	for i := range samples {
		samples[i].share = (float64(i) + .5) / float64(len(samples))
	}
}

// at returns the time at a quantile, interpolated between the points.
func at(points []point, share float64) time.Duration {
	i, _ := slices.BinarySearchFunc(points, share, func(p point, s float64) int {
		if p.share < s {
			return -1
		}
		return 1
	})
	switch i {
	case 0:
		return points[0].rtt
	case len(points):
		return points[i-1].rtt
	}
	low, high := points[i-1], points[i]
	return low.rtt + time.Duration(float64(high.rtt-low.rtt)*(share-low.share)/(high.share-low.share))
}

const quantileBits = 12

// quantileTable holds a distribution of times one way.
type quantileTable [1 << quantileBits]time.Duration

// latency gives each pair of IP addresses a time from the table.
func (q *quantileTable) latency(seed uint64) LatencyFunc {
	return func(from, to netip.AddrPort, r *rand.Rand) time.Duration {
		d := q[pairHash(from.Addr(), to.Addr(), seed)>>(64-quantileBits)]
		// In integers, since these do not depend on the processor.
		return d * time.Duration(950+r.IntN(151)) / 1000
	}
}

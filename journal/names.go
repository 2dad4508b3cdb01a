package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The names of files: a number of ten digits, so that they sort, and what it is.
const (
	logSuffix      = ".log"
	snapshotSuffix = ".snapshot"
	temporary      = ".tmp"

	maxNumber = 1 << 62 // nobody counts this far; who has renamed a file may have
)

func logName(number uint64) string      { return fmt.Sprintf("%010d%s", number, logSuffix) }
func snapshotName(number uint64) string { return fmt.Sprintf("%010d%s", number, snapshotSuffix) }

// directory is the numbers of the files there are, in ascending order.
type directory struct {
	logs, snapshots []uint64
}

func (l *Log) list() (d directory, err error) {
	names, err := l.cfg.FS.Names()
	if err != nil {
		return d, err
	}
	for _, name := range names {
		if n, ok := number(name, logSuffix); ok {
			d.logs = append(d.logs, n)
		}
		if n, ok := number(name, snapshotSuffix); ok {
			d.snapshots = append(d.snapshots, n)
		}
	}
	slices.Sort(d.logs)
	slices.Sort(d.snapshots)
	return d, nil
}

// number returns the number in a name. Files with other names are none of ours.
func number(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, err == nil && n < maxNumber && fmt.Sprintf("%010d", n) == digits
}

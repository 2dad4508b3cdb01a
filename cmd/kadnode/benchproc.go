package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// cpuTime returns the processor time that all threads of a process have used, to the
// nanosecond. It is known on Linux alone.
func cpuTime(pid int) (time.Duration, bool) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil || len(threads) == 0 {
		return 0, false
	}
	var total time.Duration
	for _, t := range threads {
		b, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err != nil {
			continue // it has ended
		}
		first, _, _ := bytes.Cut(b, []byte(" "))
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, false
		}
		total += time.Duration(ns)
	}
	return total, true
}

// processGone tells that there is no such process, or none but its exit status. It is known
// on Linux alone.
func processGone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return runtime.GOOS == "linux"
	}
	return bytes.Contains(b, []byte("\nState:\tZ"))
}

// residentMemory returns the bytes of memory that a process has, on Linux.
func residentMemory(pid int) (int64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			if fields := bytes.Fields(rest); len(fields) == 2 {
				kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
				return kib << 10, err == nil
			}
		}
	}
	return 0, false
}

//go:build !linux

package journal

import "os"

func newDiskFile(f *os.File) (File, error) { return f, nil }

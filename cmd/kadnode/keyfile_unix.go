//go:build unix

package main

import "io/fs"

// othersMayRead tells whether others than its owner may read a file.
func othersMayRead(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o044 != 0
}

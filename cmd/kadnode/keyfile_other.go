//go:build !unix

package main

import "io/fs"

// othersMayRead knows nothing: file modes say little here.
func othersMayRead(fs.FileInfo) bool { return false }

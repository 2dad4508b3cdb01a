//go:build !windows

package journal

const syncsDirs = true

//go:build !unix

package main

// closeOnExec has nothing to do where nothing is inherited.
func closeOnExec(int) {}

//go:build !unix

package main

import "errors"

// checkInherited refuses all files: nothing is inherited here.
func checkInherited(int, fileKind) error { return errors.ErrUnsupported }

func closeOnExec(int) {}

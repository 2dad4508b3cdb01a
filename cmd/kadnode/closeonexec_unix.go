//go:build unix

package main

import "syscall"

// closeOnExec keeps an inherited file from processes that this one starts.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyReload sends to ch when the configuration is to be read again.
func notifyReload(ch chan<- os.Signal) { signal.Notify(ch, syscall.SIGHUP) }

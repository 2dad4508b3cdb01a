//go:build (!unix || aix || solaris) && !illumos

package main

import "os"

// openLock opens the file with a name, without a lock: there is no flock here, and
// it is up to the user not to run two processes on one data directory.
func openLock(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}

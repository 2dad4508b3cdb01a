//go:build (unix && !aix && !solaris) || illumos

package main

import (
	"errors"
	"os"
	"syscall"
)

// openLock opens the file with a name and locks it for as long as it is open, or
// returns errLocked if another process has done so. The system unlocks it when the
// process ends, however it ends.
func openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errLocked
	default:
		err = &os.PathError{Op: "lock", Path: name, Err: err}
	}
	f.Close()
	return nil, err
}

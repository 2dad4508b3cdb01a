package main

import (
	"fmt"
	"os"
)

// openRegular opens a file for reading. It refuses pipes, which would have us wait until
// somebody writes to them, and devices.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return os.Open(name)
}

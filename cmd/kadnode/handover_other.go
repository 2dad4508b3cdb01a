//go:build !unix

package main

import (
	"errors"
	"net"
	"os"
)

// handoverSignal is nil: there is no such signal here.
var handoverSignal os.Signal

func duplicate(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }

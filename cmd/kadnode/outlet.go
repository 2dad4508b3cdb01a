package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// lastWords is for how long a command whose time is over tries to write what is left to
// say.
const lastWords = time.Second

var errNotRead = errors.New("standard output is not read")

// outlet is an output that may be a pipe which nobody reads.
type outlet struct {
	w    io.Writer
	open context.Context // its end ends writes that are under way
}

func (o *outlet) Write(b []byte) (int, error) {
	b = bytes.Clone(b) // the caller may go on to use b while a write that was given up goes on
	n, err := interruptible(o.open, func() (int, error) { return o.w.Write(b) })
	if err != nil && err == o.open.Err() {
		err = errNotRead
	}
	return n, err
}

// lingering returns a context that ends lastWords after ctx.
func lingering(ctx context.Context) context.Context {
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, end) })
	return late
}

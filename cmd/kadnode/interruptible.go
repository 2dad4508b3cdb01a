package main

import "context"

// interruptible returns what f returns, or the error of ctx if that ends before. Then f,
// which may wait for the other end of a pipe for ever, is left behind: the process is
// about to end.
func interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		v, err := f()
		ended <- outcome{v, err}
	}()
	select {
	case o := <-ended:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// readInput is interruptible, for what a command reads before it starts: standard input,
// or files that may be pipes.
func readInput[T any](ctx context.Context, c *client, read func() (T, error)) (T, error) {
	v, err := interruptible(ctx, read)
	return v, c.explain(err, "end of the input")
}

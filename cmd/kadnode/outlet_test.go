package main

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A slow reader gets everything that was written before the end, and has some time for
// what was written after it.
func TestOutletWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, signal := context.WithCancel(t.Context())
		r, w := io.Pipe()
		o := &outlet{w, lingering(ctx)}
		got := make([]byte, 5)
		read := func(after time.Duration) {
			time.Sleep(after)
			io.ReadFull(r, got)
		}
		go read(time.Hour)
		if n, err := o.Write([]byte("first")); n != 5 || err != nil || string(got) != "first" {
			t.Errorf("wrote %d, %v; read %q", n, err, got)
		}
		signal()
		go read(lastWords / 2)
		if _, err := o.Write([]byte("other")); err != nil || string(got) != "other" {
			t.Errorf("after the signal: %v; read %q", err, got)
		}
		began := time.Now()
		for range 2 {
			if _, err := o.Write([]byte("late")); err != errNotRead {
				t.Errorf("too late: %v", err)
			}
		}
		if waited := time.Since(began); waited != lastWords/2 {
			t.Errorf("waited for %v", waited)
		}
		r.Close()
	})
}

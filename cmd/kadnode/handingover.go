package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

// errFirstProcess refuses a handover by the only process of a container, which ends with it.
var errFirstProcess = errors.New("this is process 1: its end is the end of the container")

// handOver starts a successor and returns it when it serves. Without one this node goes on to
// serve; with an error, too, nobody does. When ctx ends it gives up, unless it is too late for that.
func (d *daemon) handOver(ctx context.Context, r *runningNode) (next *successor, err error) {
	if os.Getpid() == 1 {
		return nil, errFirstProcess
	}
	r.srv.journal.Hold(true)
	next, err = d.startSuccessor(r)
	if err == nil {
		if err = next.await(ctx, saysLoaded, loadPatience); err == nil {
			err = r.srv.journal.Err() // the successor would lack what only this memory has
		}
		if err != nil {
			next.abandon()
		}
	}
	if err != nil {
		r.srv.journal.Hold(false)
		return nil, err
	}
	if err := r.srv.dht.HandOver(); err != nil {
		d.log.Warn("handing over all the same", "err", err)
	}
	// From here to its "serving" what comes waits in the kernel.
	r.srv.journal.Close()
	r.srv.lock.Close()
	if err := next.proceed(); err != nil {
		return next, err
	}
	if err := next.await(context.WithoutCancel(ctx), saysServing, servePatience); err != nil {
		return next, err
	}
	d.log.Info("a successor serves", "pid", next.cmd.Process.Pid)
	return next, nil
}

// startSuccessor starts the program anew with duplicates of all sockets.
func (d *daemon) startSuccessor(r *runningNode) (*successor, error) {
	program, err := exec.LookPath(os.Args[0]) // a link may lead to a new version
	if err != nil {
		return nil, err
	}
	if err := r.srv.dht.SaveState(); err != nil {
		return nil, err
	}
	files, err := r.srv.dht.Files()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if r.web != nil {
		f, err := duplicate(r.web.listener)
		if err != nil {
			return nil, fmt.Errorf("http: %w", err)
		}
		files = append(files, f)
	}
	return startSuccessor(program, os.Args[1:], r.srv.lock, files)
}

// notifyHandover sends to ch when a successor is to be started.
func notifyHandover(ch chan<- os.Signal) {
	if handoverSignal != nil {
		signal.Notify(ch, handoverSignal)
	}
}

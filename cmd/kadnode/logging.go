package main

import (
	"io"
	"log/slog"
)

// newLogger returns a logger for the flags, and what to change its level with.
func newLogger(w io.Writer, o *nodeOptions) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(parseLevel(o.logLevel))
	opts := &slog.HandlerOptions{Level: level}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

// parseLevel reads a value of --log-level, which the flag has checked.
func parseLevel(s string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return l
}

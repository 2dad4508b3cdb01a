package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kadnode/kadnode/journal"
)

// journalDir is the name of the journal's directory in the data directory.
const journalDir = "journal"

// newJournal returns the journal in a data directory, nil without one.
func newJournal(dataDir string, sync time.Duration, log *slog.Logger) (*journal.Log, error) {
	if dataDir == "" {
		return nil, nil
	}
	dir := filepath.Join(dataDir, journalDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := journal.Dir(dataDir).Sync(); err != nil {
		log.Warn("cannot sync the data directory", "err", err)
	}
	return journal.New(journal.Config{FS: journal.Dir(dir), Sync: sync, Log: log}), nil
}

// syncValue is the flag that says how often the journal is synced.
type syncValue struct{ every *time.Duration }

var syncNames = map[string]time.Duration{"always": journal.SyncAlways, "never": journal.SyncNever}

func (v syncValue) String() string {
	for name, every := range syncNames {
		if *v.every == every {
			return name
		}
	}
	return v.every.String()
}

func (v syncValue) Set(s string) error {
	if every, ok := syncNames[s]; ok {
		*v.every = every
		return nil
	}
	every, err := time.ParseDuration(s)
	if err != nil || every < 10*time.Millisecond || every > time.Hour {
		return fmt.Errorf("want always, never, or a time from 10ms to 1h")
	}
	*v.every = every
	return nil
}

func (v syncValue) Type() string { return "time" }

package storetest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/tracker"
)

func openSwarms(_ testing.TB, cfg tracker.SwarmsConfig, now time.Time) tracker.Store {
	return tracker.NewSwarms(cfg, now)
}

func openDurable(t testing.TB, cfg tracker.SwarmsConfig, now time.Time) tracker.Store {
	log := journal.New(journal.Config{
		FS: journal.Dir(t.TempDir()), Now: func() time.Time { return now }, Rand: rand.New(rand.NewPCG(1, 1)), Sync: journal.SyncNever,
	})
	s := tracker.NewDurable(tracker.NewSwarms(cfg, now), log)
	if err := log.Load(); err != nil {
		t.Fatal(err)
	}
	if err := log.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return s
}

func TestSwarms(t *testing.T)  { Run(t, openSwarms) }
func TestDurable(t *testing.T) { Run(t, openDurable) }

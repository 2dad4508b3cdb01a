package tracker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
)

// openLog returns a log in a directory, to attach to: startLog is next. It is closed with the
// test, or never if that is what is tested.
func openLog(t testing.TB, dir string, now func() time.Time) *journal.Log {
	t.Helper()
	return journal.New(journal.Config{
		FS: journal.Dir(dir), Now: now, Rand: rand.New(rand.NewPCG(*seed, uint64(now().UnixNano()))), Sync: journal.SyncNever,
	})
}

// startLog replays what is in the directory.
func startLog(t testing.TB, l *journal.Log) {
	t.Helper()
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.NotReplayed != 0 || st.DamagedBytes != 0 || st.Err != nil {
		t.Fatalf("the log says %+v", st)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// durableMember adds a member that keeps what it can in a directory.
func (w *world) durableMember(dir string) (*member, *journal.Log) {
	w.t.Helper()
	log := openLog(w.t, dir, w.clock.Now)
	swarms := SwarmsConfig{Rand: rand.New(rand.NewPCG(*seed, uint64(len(w.members)))), Shards: 4}
	m := w.newMember(Config{Swarms: swarms, Journal: log}, w.any().addr)
	m.swarms = m.store.(*Durable).Swarms
	w.members = append(w.members, m)
	startLog(w.t, log)
	m.node.Start()
	m.Start()
	return m, log
}

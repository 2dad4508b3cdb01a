package journal_test

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
)

// words is a State of words with the time they were last said.
type words struct {
	log *journal.Log
	tag journal.Tag

	mu   sync.Mutex
	said map[string]time.Time
}

func newWords(log *journal.Log, tag journal.Tag) *words {
	w := &words{log: log, tag: tag, said: make(map[string]time.Time)}
	log.Attach(tag, w)
	return w
}

func (w *words) say(word string) {
	w.mu.Lock()
	w.said[word] = time.Time{}
	w.mu.Unlock()
	w.log.Append(w.tag, []byte(word))
}

func (w *words) Replay(record []byte, at, _ time.Time) error {
	w.said[string(record)] = at
	return nil
}

func (w *words) Records(time.Time) iter.Seq[[]byte] {
	w.mu.Lock()
	all := slices.Sorted(maps.Keys(w.said))
	w.mu.Unlock()
	return func(yield func([]byte) bool) {
		for _, word := range all {
			if !yield([]byte(word)) {
				return
			}
		}
	}
}

func (w *words) want(t *testing.T, words ...string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(w.said)); !slices.Equal(got, words) {
		t.Errorf("words %q, want %q", got, words)
	}
}

// open loads and starts a log in fs with one state.
func open(t testing.TB, fs journal.FS, change ...func(*journal.Config)) (*journal.Log, *words) {
	t.Helper()
	cfg := journal.Config{FS: fs, Now: time.Now, Rand: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))}
	for _, c := range change {
		c(&cfg)
	}
	l := journal.New(cfg)
	w := newWords(l, 1)
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	return l, w
}

func TestWhatIsCommittedIsThereAgain(t *testing.T) {
	dir := journal.Dir(t.TempDir())
	l, w := open(t, dir)
	w.say("one")
	w.say("two")
	l.Commit()
	w.say("never committed")
	// The process is killed here.
	l, w = open(t, dir)
	w.want(t, "one", "two")
	w.say("three")
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	w.say("four")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, w = open(t, dir)
	w.want(t, "four", "one", "three", "two")
	if names, _ := dir.Names(); len(names) != 3 { // a snapshot, the log after it, and today's
		t.Errorf("files %q", names)
	}
}

package kadnode

import (
	"go/format"
	"os"
	"slices"
	"strings"
	"testing"
)

// The Go in these pages is quoted from examples and tests, which compile.
func TestPagesQuoteWhatCompiles(t *testing.T) {
	for page, sources := range map[string][]string{
		"docs/embedding.md": {"tracker/example_journal_test.go", "kademlia/example_test.go", "tracker/storetest/example_test.go"},
		"docs/security.md":  {"kademlia/sim/attack/example_test.go"},
	} {
		var lines []string
		for _, source := range sources {
			lines = append(lines, trimmedLines(readFile(t, source))...)
		}
		blocks := goBlocks(readFile(t, page))
		if len(blocks) == 0 {
			t.Errorf("%s: no Go", page)
		}
		for _, block := range blocks {
			if quoted := trimmedLines(block); !containsRun(lines, quoted) {
				t.Errorf("%s: of none of %v:\n%s", page, sources, block)
			}
			if formatted, err := format.Source([]byte(block)); err != nil || string(formatted) != block {
				t.Errorf("%s: not as gofmt has it, error %v:\n%s", page, err, block)
			}
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goBlocks returns what a page has between "```go" and "```".
func goBlocks(page string) (blocks []string) {
	for {
		_, rest, found := strings.Cut(page, "\n```go\n")
		if !found {
			return blocks
		}
		var block string
		block, page, _ = strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
}

// trimmedLines returns the lines of text without what they are indented by.
func trimmedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// containsRun tells whether run is a part of lines.
func containsRun(lines, run []string) bool {
	for i := range max(0, len(lines)-len(run)+1) {
		if slices.Equal(lines[i:i+len(run)], run) {
			return true
		}
	}
	return false
}

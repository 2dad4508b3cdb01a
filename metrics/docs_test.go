package metrics

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// An operator finds each metric in the page for him, and none that there is not.
func TestOperationsNamesEveryMetric(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, name := range regexp.MustCompile(`kadnode_[a-z0-9_]+`).FindAllString(string(page), -1) {
		named[name] = true
	}
	fqName := regexp.MustCompile(`kadnode_[a-z0-9_]+`)
	for _, d := range NewCollector(Sources{}).(*collector).descs {
		name := fqName.FindString(d.String())
		if !named[name] {
			t.Errorf("%s is not there", name)
		}
		delete(named, name)
	}
	for name := range named {
		if !strings.HasSuffix(name, "_") { // the beginning of several
			t.Errorf("there is no %s", name)
		}
	}
}

// Package kadnode has no code of its own: here stand the rules on which package
// may use which, and what the protocol packages may not do, as tests.
package kadnode

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kadnode/kadnode"

// layers tells for each package what it may import of ours, besides itself: the
// arrows of docs/architecture.md. "./x/..." is x and all below it.
var layers = []struct {
	pkg    string
	may    []string
	reason string
}{
	{"./krpc", nil,
		"krpc is the ground floor: messages and transactions know no rule of what they carry"},
	{"./krpc/load", []string{"./krpc", "./krpc/udp"},
		"a load is queries from real sockets; it knows the node under it from outside"},
	{"./krpc/...", []string{"./krpc"},
		"sockets and the simulated network are two sides of one seam, krpc.Transport"},
	{"./journal", nil,
		"a log knows no meaning of its records"},
	{"./journal/faultfs", []string{"./journal"},
		"a disk for tests is one of the journal's"},
	{"./kademlia", []string{"./krpc/...", "./kademlia/serial"},
		"the DHT must not know its applications: a tracker is only one of them"},
	{"./kademlia/schedule", []string{"./krpc/..."},
		"a schedule knows times and keys, not what it runs"},
	{"./kademlia/serial", nil,
		"the order of calls has nothing to do with what they are"},
	{"./kademlia/store", []string{"./krpc/...", "./kademlia", "./kademlia/schedule", "./kademlia/serial", "./journal"},
		"items are an application of the DHT, like the tracker, and know nothing of that"},
	{"./kademlia/sim", []string{"./krpc/...", "./kademlia"},
		"a world is nodes on a simulated network; applications bring their own handlers"},
	{"./kademlia/sim/mainline", []string{"./krpc/...", "./kademlia", "./tracker"},
		"what is measured is the node as it ships, with its tracker, and what is around it is not real"},
	{"./kademlia/sim/scenario", []string{"./krpc/...", "./kademlia/...", "./tracker", "./journal/..."},
		"a scenario is for whole programs, and their disks"},
	{"./kademlia/sim/fuzz", []string{"./krpc/...", "./kademlia/...", "./tracker", "./journal/..."},
		"what is fuzzed is a whole program"},
	{"./kademlia/sim/attack", []string{"./krpc/...", "./kademlia/...", "./tracker"},
		"an attack is played against the node as it ships, with its tracker"},
	{"./tracker", []string{"./krpc/...", "./kademlia", "./kademlia/schedule", "./kademlia/serial", "./journal"},
		"the tracker is an application of the DHT, and serves without any front end"},
	{"./tracker/storetest", []string{"./krpc", "./tracker", "./journal"},
		"what a store promises has nothing to do with how it keeps it"},
	{"./tracker/indexer", []string{"./krpc/...", "./kademlia", "./kademlia/serial"},
		"an indexer asks the network, not its own store"},
	{"./tracker/gateway/...", []string{"./krpc/...", "./kademlia", "./tracker/gateway/...", "./tracker"},
		"front ends translate to the tracker and are known to the program alone"},
	{"./metrics/...", []string{"./krpc/...", "./kademlia/...", "./tracker/...", "./journal", "./metrics/..."},
		"metrics read the counters of everybody; nobody counts for their sake"},
	{"./e2e/...", []string{"./e2e/..."},
		"end-to-end tests see what a user sees: the program"},
	{"./cmd/...", []string{"./..."},
		"the program wires everything"},
	{".", nil,
		"the root has no code"},
}

// outside tells which imports that are not ours are kept to some packages.
var outside = []struct {
	imports string
	except  string   // a path below imports that everybody may use
	only    []string // the packages that may
	reason  string
}{
	{"github.com/prometheus/...", "", []string{"./metrics/...", "./cmd/..."},
		"who embeds the node need not take Prometheus with it"},
	{"golang.org/x/sys/...", "", []string{"./krpc/udp"},
		"the operating system is met in one place"},
	{"github.com/anacrolix/...", "github.com/anacrolix/torrent/bencode", nil,
		"the client brings two hundred modules; tracker/torrentdht is a module of its own for its sake"},
	{"math/rand", "", nil,
		"math/rand/v2 has sources that can be handed around and seeded"},
}

func TestImports(t *testing.T) {
	for _, f := range parseModule(t, parser.ImportsOnly) {
		checkLayer(t, f)
		for _, imp := range f.imports() {
			for _, rule := range outside {
				if matches(rule.imports, imp) && imp != rule.except && !matchesAny(rule.only, f.pkg) {
					t.Errorf("%s imports %s: %s", f.name, imp, rule.reason)
				}
			}
		}
	}
}

// TestJournalNeedsTheStandardLibraryOnly: what keeps data for years takes no other code's changes.
func TestJournalNeedsTheStandardLibraryOnly(t *testing.T) {
	for _, f := range parseModule(t, parser.ImportsOnly) {
		for _, imp := range f.imports() {
			host, _, _ := strings.Cut(imp, "/")
			if matches("./journal/...", f.pkg) && host != "." && strings.Contains(host, ".") {
				t.Errorf("%s imports %s", f.name, imp)
			}
		}
	}
}

func checkLayer(t *testing.T, f file) {
	for _, layer := range layers {
		if !matches(layer.pkg, f.pkg) {
			continue
		}
		for _, imp := range f.imports() {
			if strings.HasSuffix(f.name, "_test.go") && (imp == "./kademlia/sim" || imp == "./journal/faultfs" || strings.HasPrefix(f.pkg, imp+"/")) {
				continue // a world is where anything is tested, and a disk that fails, and what is around it
			}
			if strings.HasPrefix(imp, "./") && imp != f.pkg && !matchesAny(layer.may, imp) {
				t.Errorf("%s imports %s: %s", f.name, imp, layer.reason)
			}
		}
		return
	}
	t.Errorf("%s: no layer holds package %s: say in layers what it may import", f.name, f.pkg)
}

// core are the packages of protocol code. They are passive and deterministic: a
// clock, a random source and a transport are given to them, so that a simulation
// with the same seed runs the same way, byte for byte.
var core = []string{"./krpc", "./krpc/simnet", "./kademlia", "./kademlia/schedule", "./kademlia/serial", "./kademlia/store", "./kademlia/sim", "./kademlia/sim/mainline", "./kademlia/sim/scenario", "./kademlia/sim/attack", "./tracker", "./tracker/indexer"}

// facades are the files of core that face the real world instead.
var facades = []string{
	"krpc/clock.go",         // the real clock
	"kademlia/dht.go",       // sockets, and who waits for their goroutines
	"kademlia/statefile.go", // saves every few minutes
	"kademlia/bootstrap.go", // resolves names
}

// impure are the functions that make a run differ from the last, and the reason.
var impure = map[string]struct {
	names  []string
	but    bool // all functions but names
	reason string
}{
	"time": {
		names:  []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		reason: "reads the wall clock: take krpc.Clock or now",
	},
	"math/rand/v2": {
		names:  []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "PCG", "ChaCha8", "Zipf", "Source"},
		but:    true,
		reason: "draws from the global random source: take a *rand.Rand",
	},
}

func TestProtocolPackagesArePassive(t *testing.T) {
	unused := slices.Clone(facades)
	for _, f := range parseModule(t, parser.SkipObjectResolution) {
		if !matchesAny(core, f.pkg) || strings.HasSuffix(f.name, "_test.go") {
			continue
		}
		faults := impurities(f)
		if slices.Contains(facades, f.name) && len(faults) > 0 {
			unused = slices.DeleteFunc(unused, func(name string) bool { return name == f.name })
			continue
		}
		for _, fault := range faults {
			t.Error(fault)
		}
	}
	for _, name := range unused {
		t.Errorf("%s needs no exception: take it off the list of facades", name)
	}
}

// impurities tells what in f protocol code may not do.
func impurities(f file) []string {
	var faults []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if fault := impurity(f, n); fault != "" {
			faults = append(faults, fmt.Sprintf("%s:%d: %s", f.name, f.fset.Position(n.Pos()).Line, fault))
		}
		return true
	})
	return faults
}

// impurity tells what is wrong with n; "": nothing.
func impurity(f file, n ast.Node) string {
	const goroutine = "starts a goroutine: protocol code is driven by its caller"
	switch n := n.(type) {
	case *ast.GoStmt:
		return goroutine
	case *ast.SelectorExpr:
		if n.Sel.Name == "Go" { // of a sync.WaitGroup or an errgroup
			return goroutine
		}
		pkg, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		rule, ok := impure[f.importOf(pkg.Name)]
		if ok && slices.Contains(rule.names, n.Sel.Name) != rule.but {
			return fmt.Sprintf("%s.%s %s", pkg.Name, n.Sel.Name, rule.reason)
		}
	}
	return ""
}

// file is a source file of the module. Names and packages are relative to the
// module's root; the name of a package starts with "./".
type file struct {
	name   string
	pkg    string
	syntax *ast.File
	fset   *token.FileSet
}

// imports returns what the file imports, our own packages as "./x".
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			p = "./" + rest
		}
		paths = append(paths, p)
	}
	return paths
}

// importOf returns the path of the import that the file calls name; "": none.
func (f file) importOf(name string) string {
	for i, p := range f.imports() {
		called := path.Base(strings.TrimSuffix(p, "/v2"))
		if alias := f.syntax.Imports[i].Name; alias != nil {
			called = alias.Name
		}
		if called == name {
			return p
		}
	}
	return ""
}

// parseModule parses every Go file of this module.
func parseModule(t *testing.T, mode parser.Mode) []file {
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".":
			return skipDir(name)
		case filepath.Ext(name) != ".go":
			return nil
		}
		syntax, err := parser.ParseFile(fset, name, nil, mode)
		name = filepath.ToSlash(name)
		pkg := "./" + path.Dir(name)
		if path.Dir(name) == "." {
			pkg = "."
		}
		files = append(files, file{name, pkg, syntax, fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skipDir leaves out what the go command leaves out too, and other modules.
func skipDir(name string) error {
	base := filepath.Base(name)
	other, _ := filepath.Glob(filepath.Join(name, "go.mod"))
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || len(other) > 0 {
		return filepath.SkipDir
	}
	return nil
}

func matchesAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

// matches tells whether p is pattern or, if that ends in "/...", below it.
func matches(pattern, p string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return p == tree || ok && strings.HasPrefix(p, tree+"/")
}

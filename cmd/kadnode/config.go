package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// fillFromEnvironment sets the flags that are not set from the environment, but
// for those named by except. A variable that is empty is as good as none.
func fillFromEnvironment(fs *pflag.FlagSet, except ...string) error {
	var failed error
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil || slices.Contains(except, f.Name) || f.Name == "help" {
			return
		}
		name := variable(f.Name)
		if v := os.Getenv(name); v != "" {
			if err := fs.Set(f.Name, v); err != nil {
				failed = usagef("environment variable %s: %w", name, err)
			}
		}
	})
	return failed
}

// variable returns the environment variable for a flag.
func variable(flag string) string {
	return "KADNODE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fillFromFile sets the flags that are not set from the TOML file at path.
func fillFromFile(fs *pflag.FlagSet, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return usagef("configuration: %w", err)
	}
	var keys map[string]any
	if err := toml.Unmarshal(b, &keys); err != nil {
		line := 0
		if at := new(toml.DecodeError); errors.As(err, &at) {
			line, _ = at.Position()
		}
		return usagef("configuration %s: line %d: %w", path, line, err)
	}
	for key, value := range keys {
		f := fs.Lookup(key)
		if f == nil || key == "config" || key == "help" {
			return usagef("configuration %s: unknown key %q", path, key)
		}
		if f.Changed {
			continue
		}
		if err := setFlag(fs, key, value); err != nil {
			return usagef("configuration %s: %w", path, err)
		}
	}
	return nil
}

// setFlag sets a flag to a value as TOML has it.
func setFlag(fs *pflag.FlagSet, name string, value any) error {
	switch v := value.(type) {
	case []any:
		return setList(fs, name, v)
	case string, int64, float64, bool:
		return fs.Set(name, fmt.Sprint(v))
	default:
		return fmt.Errorf("%s: want a string, a number, a boolean or a list of strings", name)
	}
}

// setList sets a flag to a list as TOML has it. An empty one is "none", where that
// is a value.
func setList(fs *pflag.FlagSet, name string, list []any) error {
	if _, ok := fs.Lookup(name).Value.(*listValue); !ok {
		return fmt.Errorf("%s: want one value, not a list of %d", name, len(list))
	}
	if len(list) == 0 {
		if fs.Set(name, none) != nil {
			return fmt.Errorf("%s: want at least one", name)
		}
		return nil
	}
	for _, item := range list {
		if _, nested := item.([]any); nested {
			return fmt.Errorf("%s: want a list of strings, not of lists", name)
		}
		if err := setFlag(fs, name, item); err != nil {
			return err
		}
	}
	return nil
}

// fill completes the options that fs belongs to, of which the command line has
// set some, from the environment and then from the configuration file.
func (o *runOptions) fill(fs *pflag.FlagSet) error {
	if err := fillFromEnvironment(fs); err != nil {
		return err
	}
	if o.config == "" {
		return nil
	}
	return fillFromFile(fs, o.config)
}

// reread returns the options anew: from the command line that old was parsed
// from, and from the environment and the file as they are now.
func reread(commandLine map[string]string) (*runOptions, *pflag.FlagSet, error) {
	o := new(runOptions)
	fs := pflag.NewFlagSet("kadnode", pflag.ContinueOnError)
	o.addFlags(fs)
	for name, value := range commandLine {
		if err := fs.Set(name, value); err != nil {
			return nil, nil, err
		}
	}
	return o, fs, o.fill(fs)
}

// changed returns the flags of fs that are set, by name.
func changed(fs *pflag.FlagSet) map[string]string {
	set := make(map[string]string)
	fs.Visit(func(f *pflag.Flag) { set[f.Name] = f.Value.String() })
	return set
}

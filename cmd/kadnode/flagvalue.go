package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kadnode/kadnode/krpc"
)

// none is the value of a flag that switches something off.
const none = "none"

// listValue is a flag that takes comma lists and may be repeated. It is the
// flag's pflag.Value; its String is a list that Set takes.
type listValue struct {
	items *[]string
	kind  string // of an item, for the help
	check func(item string) error
	set   bool // the items are no longer the default
}

func (v *listValue) Type() string   { return v.kind }
func (v *listValue) String() string { return strings.Join(*v.items, ",") }

func (v *listValue) Set(s string) error {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if err := v.check(item); err != nil {
			return err
		}
		items = append(items, item)
	}
	if v.set {
		items = append(*v.items, items...)
	}
	if len(items) > 1 && slices.Contains(items, none) {
		return fmt.Errorf("%q goes with nothing else", none)
	}
	*v.items, v.set = items, true
	return nil
}

// checkListen accepts what a node can be reached at. Some systems bind multicast
// and broadcast addresses too, and then nobody gets an answer.
func checkListen(s string) error {
	if port, ok := strings.CutPrefix(s, ":"); ok && isPort(port) {
		return nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return fmt.Errorf("want IP:PORT, [IPv6]:PORT, or :PORT for all addresses, not %q", s)
	}
	if ip := a.Addr().Unmap(); krpc.Class(ip) == krpc.AddrClassInvalid && !ip.IsUnspecified() {
		return fmt.Errorf("%s is a multicast, broadcast or reserved address, not one of a host", ip)
	}
	return nil
}

// checkBootstrap accepts what can be asked, and none.
func checkBootstrap(s string) error {
	host, port, err := net.SplitHostPort(s)
	if s == none || err == nil && host != "" && isPort(port) && port != "0" {
		return nil
	}
	return fmt.Errorf("want HOST:PORT or %s, not %q", none, s)
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func checkFile(s string) error {
	if s == "" {
		return fmt.Errorf("want the name of a file or %s", none)
	}
	return nil
}

// httpValue is a flag with an address to serve HTTP at.
type httpValue struct{ value *string }

func (v *httpValue) Type() string   { return "addr" }
func (v *httpValue) String() string { return *v.value }

func (v *httpValue) Set(s string) error {
	if _, port, err := net.SplitHostPort(s); s != none && (err != nil || !isPort(port)) {
		return fmt.Errorf("want HOST:PORT, :PORT or %s, not %q", none, s)
	}
	*v.value = s
	return nil
}

// choiceValue is a flag with a fixed set of values.
type choiceValue struct {
	value *string
	of    []string
}

func (v *choiceValue) Type() string   { return strings.Join(v.of, "|") }
func (v *choiceValue) String() string { return *v.value }

func (v *choiceValue) Set(s string) error {
	if !slices.Contains(v.of, s) {
		return fmt.Errorf("want one of %s", strings.Join(v.of, ", "))
	}
	*v.value = s
	return nil
}

// intValue is a flag with an integer from min to max.
type intValue struct {
	value    *int
	min, max int
}

func (v *intValue) Type() string   { return "int" }
func (v *intValue) String() string { return strconv.Itoa(*v.value) }

func (v *intValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("want an integer from %d to %d", v.min, v.max)
	}
	*v.value = n
	return nil
}

// rateValue is a flag with a number of events a second, 0 for no limit.
type rateValue struct {
	value *float64
	least float64 // but for 0
}

func (v *rateValue) Type() string   { return "float" }
func (v *rateValue) String() string { return strconv.FormatFloat(*v.value, 'g', -1, 64) }

func (v *rateValue) Set(s string) error {
	r, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || !(r >= 0 && r <= 1e9):
		return fmt.Errorf("want a number from %v to 1e9, a second", v.least)
	case r > 0 && r < v.least:
		return fmt.Errorf("want 0, for no limit, or from %v a second", v.least)
	}
	*v.value = r
	return nil
}

// bytesValue is a flag with an amount of memory.
type bytesValue struct{ value *int64 }

var byteUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func (v *bytesValue) Type() string { return "bytes" }

func (v *bytesValue) String() string {
	for _, u := range byteUnits {
		if *v.value%u.bytes == 0 {
			return strconv.FormatInt(*v.value/u.bytes, 10) + u.suffix
		}
	}
	panic("unreachable: the last unit divides everything")
}

func (v *bytesValue) Set(s string) error {
	const most = 1 << 50
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > most/u.bytes {
			break
		}
		*v.value = n * u.bytes
		return nil
	}
	return fmt.Errorf("want an amount of memory such as 256MiB or 1GiB")
}

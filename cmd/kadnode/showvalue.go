package main

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/anacrolix/torrent/bencode"
)

// shownValue is the value of an item for people and for JSON: one of text and json is
// set, but for a string that is no text and a value that cannot be decoded, which have
// neither.
type shownValue struct {
	text *string         // of a string
	json json.RawMessage // of anything else
	line string          // what is printed: the text, or JSON
}

// showValue returns what the value v of an item, in its bencoded form, is shown as.
func showValue(v []byte) shownValue {
	var x any
	err := bencode.Unmarshal(v, &x)
	s, isString := x.(string)
	if err == nil && isString && isText(s) {
		return shownValue{text: &s, line: s}
	}
	var b []byte
	if err == nil {
		b, err = encodeJSON(forJSON(x))
	}
	if err != nil { // It is beyond some limit of the decoder.
		return shownValue{line: `{"value_hex":"` + hex.EncodeToString(v) + `"}`}
	}
	out := shownValue{line: string(b)}
	if !isString {
		out.json = b
	}
	return out
}

// onOneLine is what is printed of a value among others: a text of several lines as a
// JSON string.
func (s *shownValue) onOneLine() string {
	if strings.Contains(s.line, "\n") {
		return strconv.Quote(s.line) // of a text, JSON too
	}
	return s.line
}

// isText tells whether s can be printed as it is: no terminal obeys any of it.
func isText(s string) bool {
	harmless := func(r rune) bool { return strconv.IsPrint(r) || r == '\n' || r == '\t' }
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !harmless(r) })
}

// forJSON returns what stands for a decoded value in JSON: {"hex":"…"} for a string that
// is no text, and hex:… if it is a key.
func forJSON(x any) any {
	switch x := x.(type) {
	case string:
		if !isText(x) {
			return map[string]string{"hex": hex.EncodeToString([]byte(x))}
		}
	case []any:
		for i := range x {
			x[i] = forJSON(x[i])
		}
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, v := range x {
			if !isText(key) {
				key = "hex:" + hex.EncodeToString([]byte(key))
			}
			out[key] = forJSON(v)
		}
		return out
	}
	return x
}

package krpc

import "strconv"

// Append appends the bencoded form of m to dst and returns the result. It
// allocates nothing if dst has the room. Keys are sorted, as bencode demands
// and as implementations that search for substrings rely on.
//
// Absent fields are left out. Flags are written as 1 or not at all, Interval
// and Num only beside Samples, and Values not at all if it is PackedValues.
// V must be a bencoded value and Values a sequence of them.
func (m *Message) Append(dst []byte) []byte {
	dst = append(dst, 'd')
	switch m.Kind {
	case KindQuery:
		dst = m.appendArgs(append(dst, "1:a"...))
	case KindError:
		dst = m.appendError(dst)
	}
	if m.IP.IsValid() {
		dst = AppendPeer(append(dst, "2:ip"...), m.IP)
	}
	switch m.Kind {
	case KindQuery:
		name := methodNames[m.Method]
		dst = appendLen(append(dst, "1:q"...), len(name))
		dst = append(dst, name...)
		dst = appendFlag(dst, "2:ro", m.ReadOnly)
	case KindReply:
		dst = m.appendArgs(append(dst, "1:r"...))
	}
	dst = appendBytes(dst, "1:t", m.TID)
	dst = appendBytes(dst, "1:v", m.Version)
	return append(dst, '1', ':', 'y', '1', ':', byte(m.Kind), 'e')
}

func (m *Message) appendError(dst []byte) []byte {
	dst = appendInt(dst, "1:el", m.ErrorCode)
	dst = appendLen(dst, len(m.ErrorText))
	dst = append(dst, m.ErrorText...)
	return append(dst, 'e')
}

// appendArgs writes the dictionary of arguments or return values.
func (m *Message) appendArgs(dst []byte) []byte {
	dst = append(dst, 'd')
	dst = appendBytes(dst, "4:BFpe", m.BFpe)
	dst = appendBytes(dst, "4:BFsd", m.BFsd)
	if m.HasCas {
		dst = appendInt(dst, "3:cas", m.Cas)
	}
	if m.HasID {
		dst = append(append(dst, "2:id20:"...), m.ID[:]...)
	}
	dst = appendFlag(dst, "12:implied_port", m.ImpliedPort)
	if m.HasInfoHash {
		dst = append(append(dst, "9:info_hash20:"...), m.InfoHash[:]...)
	}
	if m.Samples != nil {
		dst = appendInt(dst, "8:interval", m.Interval)
	}
	dst = appendBytes(dst, "1:k", m.K)
	dst = appendBytes(dst, "5:nodes", m.Nodes)
	dst = appendBytes(dst, "6:nodes6", m.Nodes6)
	dst = appendFlag(dst, "6:noseed", m.NoSeed)
	if m.Samples != nil {
		dst = appendInt(dst, "3:num", m.Num)
	}
	if m.Port != 0 {
		dst = appendInt(dst, "4:port", int64(m.Port))
	}
	dst = appendBytes(dst, "4:salt", m.Salt)
	dst = appendBytes(dst, "7:samples", m.Samples)
	dst = appendFlag(dst, "6:scrape", m.Scrape)
	dst = appendFlag(dst, "4:seed", m.Seed)
	if m.HasSeq {
		dst = appendInt(dst, "3:seq", m.Seq)
	}
	dst = appendBytes(dst, "3:sig", m.Sig)
	if m.HasTarget {
		dst = append(append(dst, "6:target20:"...), m.Target[:]...)
	}
	dst = appendBytes(dst, "5:token", m.Token)
	if m.HasTTL {
		dst = appendInt(dst, "3:ttl", m.TTL)
	}
	if m.V != nil {
		dst = append(append(dst, "1:v"...), m.V...)
	}
	if m.Values != nil && !m.PackedValues {
		dst = append(append(dst, "6:valuesl"...), m.Values...)
		dst = append(dst, 'e')
	}
	dst = appendWant(dst, m.Want)
	return append(dst, 'e')
}

// appendBytes writes a key, given bencoded, and its string unless v is nil.
func appendBytes(dst []byte, key string, v []byte) []byte {
	if v == nil {
		return dst
	}
	return appendString(dst, key, v) // apart, for what precedes it to be inlined
}

func appendString(dst []byte, key string, v []byte) []byte {
	dst = appendLen(append(dst, key...), len(v))
	return append(dst, v...)
}

// appendInt writes a key, given bencoded, and its integer.
func appendInt(dst []byte, key string, v int64) []byte {
	dst = append(append(dst, key...), 'i')
	return append(strconv.AppendInt(dst, v, 10), 'e')
}

// appendFlag writes a key, given bencoded, and the integer 1 if v is true.
func appendFlag(dst []byte, key string, v bool) []byte {
	if !v {
		return dst
	}
	return append(append(dst, key...), "i1e"...)
}

// appendLen begins a string of n bytes.
func appendLen(dst []byte, n int) []byte {
	switch { // almost always one of these, and quicker than strconv
	case n < 10:
		return append(dst, byte('0'+n), ':')
	case n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10), ':')
	case n < 1000:
		return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10), ':')
	}
	return append(strconv.AppendInt(dst, int64(n), 10), ':')
}

func appendWant(dst []byte, w Want) []byte {
	if w&(WantN4|WantN6) == 0 {
		return dst
	}
	dst = append(dst, "4:wantl"...)
	if w&WantN4 != 0 {
		dst = append(dst, "2:n4"...)
	}
	if w&WantN6 != 0 {
		dst = append(dst, "2:n6"...)
	}
	return append(dst, 'e')
}

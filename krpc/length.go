package krpc

// length returns the length of what Append appends.
func (m *Message) length() int {
	n := len("d1:y1:qe") + bytesLen("1:t", m.TID) + bytesLen("1:v", m.Version)
	if m.IP.IsValid() {
		n += len("2:ip") + peerLen(m.IP)
	}
	switch m.Kind {
	case KindQuery:
		name := methodNames[m.Method]
		n += len("1:a") + m.argsLen() + len("1:q") + digits(uint64(len(name))) + len(":") + len(name)
		n += flagLen("2:ro", m.ReadOnly)
	case KindReply:
		n += len("1:r") + m.argsLen()
	case KindError:
		n += intLen("1:el", m.ErrorCode) + digits(uint64(len(m.ErrorText))) + len(":") + len(m.ErrorText) + len("e")
	}
	return n
}

// argsLen returns the length of what appendArgs appends.
func (m *Message) argsLen() int {
	n := len("de")
	n += bytesLen("4:BFpe", m.BFpe) + bytesLen("4:BFsd", m.BFsd)
	n += bytesLen("1:k", m.K) + bytesLen("5:nodes", m.Nodes) + bytesLen("6:nodes6", m.Nodes6)
	n += bytesLen("4:salt", m.Salt) + bytesLen("7:samples", m.Samples) + bytesLen("3:sig", m.Sig) + bytesLen("5:token", m.Token)
	n += flagLen("12:implied_port", m.ImpliedPort) + flagLen("6:noseed", m.NoSeed) + flagLen("6:scrape", m.Scrape) + flagLen("4:seed", m.Seed)
	if m.HasID {
		n += len("2:id20:") + IDLen
	}
	if m.HasInfoHash {
		n += len("9:info_hash20:") + IDLen
	}
	if m.HasTarget {
		n += len("6:target20:") + IDLen
	}
	if m.HasCas {
		n += intLen("3:cas", m.Cas)
	}
	if m.HasSeq {
		n += intLen("3:seq", m.Seq)
	}
	if m.HasTTL {
		n += intLen("3:ttl", m.TTL)
	}
	if m.Samples != nil {
		n += intLen("8:interval", m.Interval) + intLen("3:num", m.Num)
	}
	if m.Port != 0 {
		n += intLen("4:port", int64(m.Port))
	}
	if m.V != nil {
		n += len("1:v") + len(m.V)
	}
	if m.Values != nil && !m.PackedValues {
		n += len("6:valuesle") + len(m.Values)
	}
	return n + wantLen(m.Want)
}

func bytesLen(key string, v []byte) int {
	if v == nil {
		return 0
	}
	return len(key) + digits(uint64(len(v))) + len(":") + len(v)
}

func flagLen(key string, v bool) int {
	if !v {
		return 0
	}
	return len(key) + len("i1e")
}

func intLen(key string, v int64) int {
	n := len(key) + len("ie")
	if v < 0 {
		return n + len("-") + digits(-uint64(v))
	}
	return n + digits(uint64(v))
}

// digits returns the number of decimal digits of n.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

func wantLen(w Want) int {
	n := 0
	if w&WantN4 != 0 {
		n += len("2:n4")
	}
	if w&WantN6 != 0 {
		n += len("2:n6")
	}
	if n > 0 {
		n += len("4:wantle")
	}
	return n
}

package krpc

const (
	maxTID      = 32 // bytes of "t"; longer ones are an attempt to be amplified
	keyLen      = 32 // bytes of "k" (BEP 44)
	sigLen      = 64 // bytes of "sig" (BEP 44)
	anyLen      = -1
	defaultCode = CodeGeneric // of an error that carries none
)

// decoder reads one message. The arguments of a query ("a") and the return
// values of a reply ("r") share their fields, since no name means two things.
type decoder struct {
	scanner
	m *Message

	argsKey   byte // the one of "a" and "r" that was read, or 0
	argsOK    bool // it was a dictionary
	otherArgs int  // where the value of the other one begins, or 0
	hasMethod bool // "q" was a string
	hasError  bool // "e" was met
}

// Decode reads the KRPC message in b into m, whose former content is lost. The
// slices of m alias b.
//
// The only error is ErrNotKRPC, and m is empty then: b does not begin with a
// bencoded dictionary, nests deeper than 64 levels, or has no usable "t" (1 to
// 32 bytes) or "y". What is wrong beyond that is noted in m.NoMethod, m.NoArgs
// and m.Malformed. Read leniently, as other implementations require: trailing
// bytes, unsorted keys, repeated keys (the last one counts) and unknown keys.
// Of "a" and "r", the one that is not for the message's kind is ignored.
func (m *Message) Decode(b []byte) error {
	m.Reset()
	d := decoder{scanner: scanner{b: b}, m: m}
	d.message()
	if d.failed || len(m.TID) < 1 || len(m.TID) > maxTID || m.Kind == 0 {
		m.Reset()
		return ErrNotKRPC
	}
	d.finish()
	return nil
}

func (d *decoder) message() {
	if !d.open('d') {
		d.fail()
		return
	}
	for d.more() {
		d.topLevel(d.str())
	}
}

func (d *decoder) topLevel(key []byte) {
	m := d.m
	switch string(key) {
	case "a", "r":
		d.args(key[0])
	case "e":
		d.errorValue()
	case "ip":
		v, _ := d.strOrSkip()
		m.IP, _ = ParseCompactAddr(v)
	case "q":
		v, ok := d.strOrSkip()
		m.Method, d.hasMethod = parseMethod(v), ok
	case "ro":
		v, _ := d.intOrSkip()
		m.ReadOnly = v == 1
	case "t":
		m.TID, _ = d.strOrSkip()
	case "v":
		m.Version, _ = d.strOrSkip()
	case "y":
		v, _ := d.strOrSkip()
		m.Kind = parseKind(v)
	default:
		d.skip()
	}
}

func parseKind(v []byte) Kind {
	if len(v) == 1 {
		switch k := Kind(v[0]); k {
		case KindQuery, KindReply, KindError:
			return k
		}
	}
	return 0
}

func parseMethod(name []byte) Method {
	switch string(name) {
	case "ping":
		return MethodPing
	case "find_node":
		return MethodFindNode
	case "get_peers":
		return MethodGetPeers
	case "announce_peer":
		return MethodAnnouncePeer
	case "get":
		return MethodGet
	case "put":
		return MethodPut
	case "sample_infohashes":
		return MethodSampleInfohashes
	}
	return MethodUnknown
}

// finish settles what depends on the kind of the message, which is known last
// since "y" sorts behind everything else.
func (d *decoder) finish() {
	m := d.m
	switch m.Kind {
	case KindQuery:
		d.settleArgs('a')
	case KindReply:
		d.settleArgs('r')
	case KindError:
		d.settleArgs(0)
	}
	// bitmagnet sends its errors as replies.
	if m.Kind == KindReply && d.hasError && !d.argsOK {
		m.Kind = KindError
	}
	m.NoMethod = m.Kind == KindQuery && !d.hasMethod
	m.NoArgs = m.Kind != KindError && !d.argsOK
	if m.Kind != KindQuery {
		// pubky sends "ro" in replies too, where it means nothing (BEP 43).
		m.Method, m.ReadOnly = MethodUnknown, false
	}
	switch {
	case m.Kind != KindError:
		m.ErrorCode, m.ErrorText = 0, nil
	case !d.hasError:
		m.ErrorCode = defaultCode
	}
}

// settleArgs has what was read be the value of wanted, "a" or "r", or none if
// that is 0.
func (d *decoder) settleArgs(wanted byte) {
	if d.argsKey == wanted {
		return
	}
	d.m.dropArgs()
	d.argsKey, d.argsOK = wanted, false
	if wanted != 0 && d.otherArgs > 0 {
		// Its syntax is known to be right, or else we were not here.
		d.pos = d.otherArgs
		d.args(wanted)
	}
}

// dropArgs empties m but for what stands outside its arguments.
func (m *Message) dropArgs() {
	*m = Message{
		Kind: m.Kind, Method: m.Method, TID: m.TID, Version: m.Version, IP: m.IP,
		ReadOnly: m.ReadOnly, ErrorCode: m.ErrorCode, ErrorText: m.ErrorText,
	}
}

// errorValue reads "e": the list of a code and a text, either of them alone in
// a list, or a bare text. All of these are met in the wild.
func (d *decoder) errorValue() {
	m := d.m
	d.hasError = true
	m.ErrorCode, m.ErrorText = defaultCode, nil
	if !d.open('l') {
		m.ErrorText, _ = d.strOrSkip()
		return
	}
	for i := 0; d.more(); i++ {
		switch {
		case i < 2 && d.peek() == 'i':
			if v, ok := d.integer(); ok {
				m.ErrorCode = v
			}
		case i < 2 && isDigit(d.peek()):
			m.ErrorText = d.str()
		default:
			d.skip()
		}
	}
}

// args reads "a" or "r", as key says. Which of the two is wanted is not known
// yet, but almost no message has both: the first is read, and the place of the
// other one kept.
func (d *decoder) args(key byte) {
	switch d.argsKey {
	case 0:
		d.argsKey = key
	case key: // repeated: the last one counts, whole
		d.m.dropArgs()
	default:
		d.otherArgs = d.pos
		d.skip()
		return
	}
	d.argsOK = d.open('d')
	if !d.argsOK {
		d.skip()
		return
	}
	for d.more() {
		d.arg(d.str())
	}
}

func (d *decoder) arg(key []byte) {
	m := d.m
	switch string(key) {
	case "BFpe":
		m.BFpe = d.bytes(ArgBFpe, bloomLen)
	case "BFsd", "BFse": // the latter is mldht's
		m.BFsd = d.bytes(ArgBFsd, bloomLen)
	case "cas":
		m.Cas, m.HasCas = d.int(ArgCas)
	case "id":
		m.ID, m.HasID = d.id(ArgID)
	case "implied_port":
		m.ImpliedPort = d.flag(ArgImpliedPort)
	case "info_hash":
		m.InfoHash, m.HasInfoHash = d.id(ArgInfoHash)
	case "interval":
		m.Interval, _ = d.int(ArgInterval)
	case "k":
		m.K = d.bytes(ArgK, keyLen)
	case "nodes":
		m.Nodes = d.bytes(ArgNodes, anyLen)
	case "nodes6":
		m.Nodes6 = d.bytes(ArgNodes6, anyLen)
	case "noseed":
		m.NoSeed = d.one(ArgNoSeed)
	case "num":
		m.Num, _ = d.int(ArgNum)
	case "port":
		m.Port = d.port()
	case "salt":
		m.Salt = d.bytes(ArgSalt, anyLen)
	case "samples":
		m.Samples = d.bytes(ArgSamples, anyLen)
	case "scrape":
		m.Scrape = d.one(ArgScrape)
	case "seed":
		m.Seed = d.one(ArgSeed)
	case "seq":
		m.Seq, m.HasSeq = d.int(ArgSeq)
	case "sig":
		m.Sig = d.bytes(ArgSig, sigLen)
	case "target":
		m.Target, m.HasTarget = d.id(ArgTarget)
	case "token":
		m.Token = d.bytes(ArgToken, anyLen)
	case "ttl":
		m.TTL, m.HasTTL = d.int(ArgTTL)
	case "v":
		m.V = d.raw()
	case "values":
		d.values()
	case "want":
		m.Want = d.want()
	default:
		d.skip()
	}
}

// note keeps in m.Malformed whether arg was well-formed when last met.
func (d *decoder) note(arg Arg, ok bool) {
	if ok {
		d.m.Malformed &^= arg
	} else {
		d.m.Malformed |= arg
	}
}

// bytes reads arg, a string of n bytes.
func (d *decoder) bytes(arg Arg, n int) []byte {
	v, ok := d.strOrSkip()
	ok = ok && (n == anyLen || n == len(v))
	d.note(arg, ok)
	if !ok {
		return nil
	}
	return v
}

func (d *decoder) id(arg Arg) (ID, bool) {
	v := d.bytes(arg, IDLen)
	if v == nil {
		return ID{}, false
	}
	return ID(v), true
}

func (d *decoder) int(arg Arg) (int64, bool) {
	v, ok := d.intOrSkip()
	d.note(arg, ok)
	return v, ok
}

func (d *decoder) flag(arg Arg) bool {
	v, _ := d.int(arg)
	return v != 0
}

// one reads a flag of BEP 33, which any other number leaves unset.
func (d *decoder) one(arg Arg) bool {
	v, _ := d.int(arg)
	return v == 1
}

func (d *decoder) port() uint16 {
	v, ok := d.intOrSkip()
	ok = ok && v > 0 && v <= 1<<16-1
	d.note(ArgPort, ok)
	if !ok {
		return 0
	}
	return uint16(v)
}

// values reads the peers: a list of strings or, from early Mainline clients,
// all of them in one string. What else the list holds is for EachPeer to skip:
// one bad element is no reason to lose the rest.
func (d *decoder) values() {
	m := d.m
	ok := true
	if d.open('l') {
		start := d.pos
		for d.more() {
			d.skip()
		}
		if d.failed {
			return
		}
		end := d.pos - len("e")
		m.Values, m.PackedValues = d.b[start:end:end], false
	} else {
		m.Values, ok = d.strOrSkip()
		m.PackedValues = ok
	}
	d.note(ArgValues, ok)
	if !ok {
		m.Values = nil
	}
}

// want reads the families of BEP 32: a list of strings, or one bare string.
// Whatever else it holds is for a later protocol and ignored.
func (d *decoder) want() Want {
	if !d.open('l') {
		v, _ := d.strOrSkip()
		return parseWant(v)
	}
	var w Want
	for d.more() {
		v, _ := d.strOrSkip()
		w |= parseWant(v)
	}
	return w
}

func parseWant(v []byte) Want {
	switch string(v) {
	case "n4":
		return WantN4
	case "n6":
		return WantN6
	}
	return 0
}

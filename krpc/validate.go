package krpc

import "math/bits"

// argNames are the names of the arguments on the wire, in the order of Arg.
var argNames = [...]string{
	"id", "target", "info_hash", "port", "implied_port", "token", "seed", "noseed", "scrape",
	"v", "k", "sig", "salt", "seq", "cas",
	"nodes", "nodes6", "values", "BFsd", "BFpe", "samples", "interval", "num", "ttl",
}

// methodArgs are the arguments of each method, besides "id", that all have.
var methodArgs = [NumMethods]struct{ required, optional Arg }{
	MethodFindNode:         {required: ArgTarget},
	MethodGetPeers:         {required: ArgInfoHash, optional: ArgNoSeed | ArgScrape},
	MethodAnnouncePeer:     {required: ArgInfoHash | ArgPort | ArgToken, optional: ArgImpliedPort | ArgSeed},
	MethodGet:              {required: ArgTarget, optional: ArgSeq},
	MethodPut:              {required: ArgToken | ArgV, optional: mutableArgs | ArgSalt | ArgCas},
	MethodSampleInfohashes: {required: ArgTarget},
}

// mutableArgs come together or not at all: a mutable item that lacks one must
// not pass for an immutable one (BEP 44).
const mutableArgs = ArgK | ArgSig | ArgSeq

// The errors that CheckQuery returns. They are made once, since an attacker
// chooses how often they are sent, and never changed.
var (
	errNoMethod      = &Error{Code: CodeProtocol, Text: "missing method"}
	errNoArgs        = &Error{Code: CodeProtocol, Text: "missing arguments"}
	errMethodUnknown = &Error{Code: CodeMethodUnknown, Text: "method unknown"}
	errMissing       = argErrors("missing argument ")
	errInvalid       = argErrors("invalid argument ")
)

func argErrors(prefix string) (errs [len(argNames)]*Error) {
	for i, name := range argNames {
		errs[i] = &Error{Code: CodeProtocol, Text: prefix + name}
	}
	return errs
}

// CheckQuery returns nil if the query m can be handled, and otherwise the error
// to answer it with: 203 that names what is missing, or an ill-formed argument
// of the method, or 204. A query of an unknown method that has a target or an
// info-hash passes, since it is answered like find_node. The error is shared
// and must not be changed.
func (m *Message) CheckQuery() *Error {
	switch {
	case m.NoMethod:
		return errNoMethod
	case m.NoArgs:
		return errNoArgs
	}
	args := methodArgs[m.Method]
	required, known := ArgID|args.required, ArgID|args.required|args.optional
	switch m.Method {
	case MethodAnnouncePeer:
		if m.ImpliedPort { // then whatever "port" says is ignored (BEP 5)
			required &^= ArgPort
			known &^= ArgPort
		}
	case MethodPut:
		// Not "seq": anacrolix/dht sends it with immutable items too.
		if m.present()&(ArgK|ArgSig) != 0 {
			required |= mutableArgs
		}
	}
	if bad := m.invalid() & known; bad != 0 {
		return errInvalid[bits.TrailingZeros32(uint32(bad))]
	}
	if missing := required &^ m.present(); missing != 0 {
		return errMissing[bits.TrailingZeros32(uint32(missing))]
	}
	if m.Method == MethodUnknown && !m.HasTarget && !m.HasInfoHash {
		return errMethodUnknown
	}
	return nil
}

// invalid returns the ill-formed arguments of the query m.
func (m *Message) invalid() Arg {
	if m.Method == MethodPut && m.HasSeq && m.Seq < 0 {
		return m.Malformed | ArgSeq
	}
	return m.Malformed
}

// present returns those arguments of m that some method requires.
func (m *Message) present() (args Arg) {
	for _, a := range [...]struct {
		arg Arg
		has bool
	}{
		{ArgID, m.HasID},
		{ArgTarget, m.HasTarget},
		{ArgInfoHash, m.HasInfoHash},
		{ArgPort, m.Port != 0},
		{ArgToken, m.Token != nil},
		{ArgV, m.V != nil},
		{ArgK, m.K != nil},
		{ArgSig, m.Sig != nil},
		{ArgSeq, m.HasSeq},
	} {
		if a.has {
			args |= a.arg
		}
	}
	return args
}

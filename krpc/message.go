package krpc

import (
	"bytes"
	"net/netip"
)

// Kind is the value of a message's "y" key.
type Kind byte

// The kinds of a KRPC message (BEP 5).
const (
	KindQuery Kind = 'q'
	KindReply Kind = 'r'
	KindError Kind = 'e'
)

// Method is the value of a query's "q" key.
type Method uint8

// The methods of the mainline DHT. MethodUnknown stands for any other.
const (
	MethodUnknown          Method = iota
	MethodPing                    // BEP 5
	MethodFindNode                // BEP 5
	MethodGetPeers                // BEP 5
	MethodAnnouncePeer            // BEP 5
	MethodGet                     // BEP 44
	MethodPut                     // BEP 44
	MethodSampleInfohashes        // BEP 51

	// NumMethods is the number of methods, MethodUnknown included.
	NumMethods = iota
)

var methodNames = [NumMethods]string{
	"unknown", "ping", "find_node", "get_peers", "announce_peer", "get", "put", "sample_infohashes",
}

// String returns the method's name on the wire, or "unknown".
func (m Method) String() string {
	return methodNames[m]
}

// Want is the set of address families that a query asks nodes of (BEP 32).
type Want uint8

// The families of BEP 32's "want". The zero Want means that the key is absent.
const (
	WantN4 Want = 1 << iota
	WantN6
)

// Arg is a set of argument names, used to say which ones were ill-formed.
type Arg uint32

// The arguments and return values that have a type or a length to get wrong.
const (
	ArgID Arg = 1 << iota
	ArgTarget
	ArgInfoHash
	ArgPort
	ArgImpliedPort
	ArgToken
	ArgSeed
	ArgNoSeed
	ArgScrape
	ArgV
	ArgK
	ArgSig
	ArgSalt
	ArgSeq
	ArgCas
	ArgNodes
	ArgNodes6
	ArgValues
	ArgBFsd
	ArgBFpe
	ArgSamples
	ArgInterval
	ArgNum
	ArgTTL
)

// Message is one KRPC message: a query, a reply or an error, with every field
// of BEP 5, 32, 33, 42, 43, 44 and 51. Its slices alias the packet that it was
// decoded from, so what outlives the packet must be copied (Clone). A nil slice
// means that the key is absent; an empty one that it is present.
// A Message is not safe for concurrent use.
type Message struct {
	Kind    Kind
	Method  Method // of a query
	TID     []byte // "t", 1 to 32 bytes
	Version []byte // "v", the sender's software

	// IP is the address that the sender sees us at (BEP 42); its port is 0
	// where the sender left it out. Invalid when absent.
	IP       netip.AddrPort
	ReadOnly bool // "ro" of a query (BEP 43)

	HasID       bool
	HasTarget   bool
	HasInfoHash bool
	ID          ID // of the sender
	Target      ID
	InfoHash    ID

	Want        Want
	Port        uint16 // 0: absent
	ImpliedPort bool
	Seed        bool // BEP 33
	NoSeed      bool // BEP 33
	Scrape      bool // BEP 33
	Token       []byte

	Nodes  []byte // compact node infos of 26 bytes, perhaps with a torn tail
	Nodes6 []byte // of 38 bytes (BEP 32)
	// Values holds the bencoded elements of the "values" list, without the
	// list's own l and e: read them with EachPeer, write them with AppendPeer.
	Values []byte
	// PackedValues says that "values" came as one string of concatenated
	// 6-byte peers, as early Mainline clients send it. It is never written.
	PackedValues bool

	BFsd []byte // BEP 33, a Bloom: the seeds
	BFpe []byte // BEP 33, a Bloom: the downloaders

	HasSeq bool
	HasCas bool
	Seq    int64
	Cas    int64
	V      []byte // BEP 44: the value's bencoded form, verbatim
	K      []byte // 32 bytes
	Sig    []byte // 64 bytes
	Salt   []byte
	// HasTTL and TTL, in seconds, are our own: what a value has left of its life.
	// Other implementations ignore it.
	HasTTL bool
	TTL    int64

	Samples  []byte // BEP 51: concatenated info-hashes
	Interval int64  // seconds; written when Samples is present
	Num      int64  // written when Samples is present

	ErrorCode int64  // of an error
	ErrorText []byte // of an error

	// NoMethod says that a query's "q" was missing or no string.
	NoMethod bool
	// NoArgs says that the message's dictionary of arguments or return values
	// was missing or no dictionary.
	NoArgs bool
	// Malformed names the arguments that were present with a wrong type,
	// length or range. Their fields are as if they were absent.
	Malformed Arg
}

// Reset makes m an empty message.
func (m *Message) Reset() { *m = Message{} }

// Clone returns a copy of m that shares no memory with it.
func (m *Message) Clone() *Message {
	c := *m
	for _, b := range []*[]byte{
		&c.TID, &c.Version, &c.Token, &c.Nodes, &c.Nodes6, &c.Values, &c.BFsd, &c.BFpe,
		&c.V, &c.K, &c.Sig, &c.Salt, &c.Samples, &c.ErrorText,
	} {
		*b = bytes.Clone(*b)
	}
	return &c
}

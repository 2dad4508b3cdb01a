package store

import "github.com/kadnode/kadnode/krpc"

// The errors of BEP 44 that depend on what a node holds, and those of its bounds. As
// those of item.go they are made once, and never changed.
var (
	errBadToken    = &krpc.Error{Code: krpc.CodeProtocol, Text: "bad token"}
	errCasMismatch = &krpc.Error{Code: krpc.CodeCasMismatch, Text: "cas mismatch"}
	errSeqTooOld   = &krpc.Error{Code: krpc.CodeSeqTooOld, Text: "seq is not newer"}
	errFull        = &krpc.Error{Code: krpc.CodeServer, Text: "store is full"}
	errIPFull      = &krpc.Error{Code: krpc.CodeServer, Text: "too many items of your address"}
	errSubnetFull  = &krpc.Error{Code: krpc.CodeServer, Text: "too many items of your subnet"}
	errForgeries   = &krpc.Error{Code: krpc.CodeServer, Text: "too many invalid signatures"}
)

// Refusal says why a put was refused. What has too few arguments, or ill-formed ones,
// never gets this far.
type Refusal uint8

// The reasons for a refusal.
const (
	RefusedValueTooBig Refusal = iota // 205
	RefusedSaltTooBig                 // 207
	RefusedMalformed                  // 203, as v is not canonical bencode
	RefusedToken                      // 203
	RefusedSignature                  // 206
	RefusedCas                        // 301
	RefusedSeq                        // 302
	RefusedFull                       // 202
	RefusedIPFull                     // 202
	RefusedSubnetFull                 // 202
	RefusedUnverified                 // 202, too many signatures were invalid

	NumRefusals = iota
)

var refusalNames = [NumRefusals]string{
	"value_too_big", "salt_too_big", "malformed", "token", "signature", "cas", "seq", "full", "ip_full", "subnet_full", "unverified",
}

// String returns the reason as a metric label.
func (r Refusal) String() string { return refusalNames[r] }

// refusalOf returns the reason that err stands for.
func refusalOf(err *krpc.Error) Refusal {
	switch err {
	case ErrValueTooBig:
		return RefusedValueTooBig
	case ErrSaltTooBig:
		return RefusedSaltTooBig
	case errBadToken:
		return RefusedToken
	case ErrBadSignature:
		return RefusedSignature
	case errCasMismatch:
		return RefusedCas
	case errSeqTooOld:
		return RefusedSeq
	case errFull:
		return RefusedFull
	case errIPFull:
		return RefusedIPFull
	case errSubnetFull:
		return RefusedSubnetFull
	case errForgeries:
		return RefusedUnverified
	}
	return RefusedMalformed
}

package krpc

import (
	"errors"
	"fmt"
)

// The error codes of BEP 5 and BEP 44.
const (
	CodeGeneric       = 201
	CodeServer        = 202
	CodeProtocol      = 203
	CodeMethodUnknown = 204
	CodeValueTooBig   = 205
	CodeBadSignature  = 206
	CodeSaltTooBig    = 207
	CodeCasMismatch   = 301
	CodeSeqTooOld     = 302
)

// Error is an error as it goes over the wire: what a handler returns to have it
// sent, and what a query ends with when the other node sent one.
type Error struct {
	Code int64
	Text string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("krpc: error %d: %s", e.Code, e.Text) }

var (
	// ErrNotKRPC says that a datagram is not a KRPC message: it is not one
	// bencoded dictionary, or has no usable "t" or "y". It is never answered.
	ErrNotKRPC = errors.New("krpc: not a KRPC message")
	// ErrDrop is returned by a handler that wants the query left unanswered.
	ErrDrop = errors.New("krpc: drop")
	// ErrUnproven is returned by a handler whose reply is too long for a sender who may not have
	// sent the query, see Request.Extend. The handler is called again for that query when the
	// sender has answered a ping or has paid for the reply by asking again, or else after a second
	// at most, and then Request.Brief is true. The handler may not return it for a brief reply.
	ErrUnproven = errors.New("krpc: address not proved")
	// ErrTimeout ends a query that was not answered within the hard timeout.
	ErrTimeout = errors.New("krpc: timeout")
	// ErrClosed ends the queries of an endpoint that was closed.
	ErrClosed = errors.New("krpc: endpoint closed")
	// ErrBusy refuses a query that would exceed the bound on pending queries or
	// would wait too long for the outgoing limit.
	ErrBusy = errors.New("krpc: too many pending queries")
	// ErrBlocked refuses a query to an address on the blocklist.
	ErrBlocked = errors.New("krpc: address is on the blocklist")
)

package mux

import (
	"errors"
	"fmt"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Why Open took no stream. The caller opens a second connection or picks another
// endpoint; nothing was sent.
var (
	ErrFull         = errors.New("connection is full")
	ErrDraining     = errors.New("connection is draining")
	ErrUnresponsive = errors.New("connection does not answer")
	ErrClosed       = errors.New("connection is closed")
	ErrHeadTooLarge = errors.New("head is over the limit")
)

// ErrReleased is what a Stream gives after Release.
var ErrReleased = errors.New("stream was released")

// errStopped is what Next gives after StopRead.
var errStopped error = stopped{}

type stopped struct{}

func (stopped) Error() string { return "reading was stopped" }
func (stopped) Timeout() bool { return true }

// errEnded is for writes after the end of the own side.
var errEnded = errors.New("stream was written to its end")

// StreamError is how a stream ended that did not end well.
type StreamError struct {
	// Code of the RST_STREAM, or of what would have been one.
	Code http2.ErrCode
	// Reason in words, for logs. From a remote peer only the code travels.
	Reason string
	// Remote is true when the peer, or the death of the connection, ended it.
	Remote bool
	// NotHanded is true when the peer surely gave nothing of the stream to the
	// application, so that it may go elsewhere whatever its method.
	NotHanded bool
	// Conn is true when the whole connection ended; Err is why.
	Conn bool
	Err  error
}

// Error says who ended the stream and why.
func (e *StreamError) Error() string {
	who := "stream ended here"
	switch {
	case e.Conn:
		who = "connection ended"
	case e.Remote:
		who = "stream reset by peer"
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", who, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: %s (%v)", who, e.Reason, e.Code)
}

// Unwrap gives the error that ended the connection, or nil.
func (e *StreamError) Unwrap() error { return e.Err }

// Timeout is false: time-outs are the caller's, who cancels with a reason.
func (e *StreamError) Timeout() bool { return false }

// linkError is an error of the protocol that ends the connection with a GOAWAY.
type linkError struct {
	code  http2.ErrCode
	what  string
	flood string // see Config.OnFlood
}

func (e *linkError) Error() string { return fmt.Sprintf("http2: %s (%v)", e.what, e.code) }

func protocolError(what string) error { return connError(http2.ErrCodeProtocol, what) }

func connError(code http2.ErrCode, what string) error { return &linkError{code: code, what: what} }

// flood ends a connection on which more came than may; limit is which bound it was.
func flood(limit, what string) error {
	return &linkError{code: http2.ErrCodeEnhanceYourCalm, what: what, flood: limit}
}

// floodOf gives the bound that a connection ended for; "" for all other ends.
func floodOf(err error) string {
	var le *linkError
	if errors.As(err, &le) {
		return le.flood
	}
	var he *http2.Error
	if !errors.As(err, &he) || he.Code != http2.ErrCodeEnhanceYourCalm {
		return ""
	}
	if he.Kind == http2.KindSettings {
		return floodSettings
	}
	return floodBlock
}

// goAwayCode is the code of the GOAWAY for an error, and whether one is due.
func goAwayCode(err error) (http2.ErrCode, bool) {
	var le *linkError
	if errors.As(err, &le) {
		return le.code, true
	}
	var he *http2.Error
	if errors.As(err, &he) {
		return he.Code, true
	}
	return http2.ErrCodeNo, err == nil || errors.Is(err, ErrClosed)
}

package flow

import (
	"errors"
	"fmt"
	"testing"

	"github.com/leno-mesh/leno/proxy/http2"
)

// cutOff is a caller that keeps how its answer ended.
type cutOff struct {
	Caller
	deaf  bool
	ended string
}

func (c *cutOff) Finish(trailers []Field) error {
	if c.deaf {
		return errors.New("gone")
	}
	c.ended = fmt.Sprint(trailers[0].Value, " ", trailers[2].Value)
	return nil
}

func (c *cutOff) Abort(r Reason, code http2.ErrCode) { c.ended = fmt.Sprint("abort ", r, " ", code) }

// TestCut ends answers of which a part was given.
func TestCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  *Error
		kind string
		v    Version
		deaf bool
		want string
	}{
		{"application gone", Fail(AppReset, nil), "application/grpc", HTTP20, false, "14 app-reset"},
		{"time over", Fail(Timeout, nil), "application/grpc+proto", HTTP20, false, "4 timeout"},
		{"reset by the application", &Error{Reason: AppReset, Code: http2.ErrCodeCancel}, "application/grpc", HTTP20, false, "abort app-reset CANCEL"},
		{"client gone", Fail(ClientGone, nil), "application/grpc", HTTP20, false, "abort client-gone NO_ERROR"},
		{"nobody hears", Fail(AppReset, nil), "application/grpc", HTTP20, true, "abort app-reset NO_ERROR"},
		{"no gRPC", Fail(AppReset, nil), "text/plain", HTTP20, false, "abort app-reset NO_ERROR"},
		{"HTTP/1", Fail(AppReset, nil), "application/grpc", HTTP11, false, "abort app-reset NO_ERROR"},
	} {
		c, f := &cutOff{deaf: tt.deaf}, &Failure{}
		r := &Request{Version: tt.v, Fields: []Field{{Name: "content-type", Value: tt.kind}}}
		f.Cut(c, tt.err, r, &Response{Status: 200})
		if c.ended != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, c.ended, tt.want)
		}
	}
}

package send

import (
	"errors"
	"testing"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// TestStreamFailed tells what a peer did from what became of its link: one that
// sheds must not be put aside for it.
func TestStreamFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want flow.Error
	}{
		"shed":          {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Remote: true}, flow.Error{Reason: flow.Overloaded, Remote: true, Code: http2.ErrCodeEnhanceYourCalm}},
		"refused":       {&mux.StreamError{Code: http2.ErrCodeRefusedStream, Remote: true, NotHanded: true}, flow.Error{Reason: flow.Overloaded, Remote: true, NotHanded: true}},
		"reset":         {&mux.StreamError{Code: http2.ErrCodeCancel, Remote: true}, flow.Error{Reason: flow.PeerReset, Remote: true, Code: http2.ErrCodeCancel}},
		"link ended":    {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm, Remote: true, Conn: true}, flow.Error{Reason: flow.PeerReset, Remote: true}},
		"reset by us":   {&mux.StreamError{Code: http2.ErrCodeEnhanceYourCalm}, flow.Error{Reason: flow.PeerReset}},
		"anything else": {errors.New("else"), flow.Error{Reason: flow.PeerReset}},
	} {
		got := *streamFailed(c.err)
		got.Err = nil
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

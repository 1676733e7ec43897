package flow

import (
	"io"
	"testing"

	"github.com/leno-mesh/leno/proxy/http2"
)

// answering is an exchange whose answer is there already.
type answering struct {
	Exchange
	canceled Reason
	clean    bool
}

func (*answering) Send(*Request, []byte, bool) error  { return nil }
func (*answering) Receive(r *Response) error          { *r = Response{Status: 200, Length: 2}; return nil }
func (*answering) Waits() bool                        { return false }
func (*answering) Next() ([]byte, error)              { return []byte("no"), io.EOF }
func (*answering) Trailers() []Field                  { return nil }
func (e *answering) Cancel(r Reason, _ http2.ErrCode) { e.canceled = r }
func (e *answering) Done(clean bool)                  { e.clean = clean }

// leaving is a caller that goes away the moment it has the last byte.
type leaving struct {
	Caller
	relay *Relay
	when  string
}

func (*leaving) Buffered() ([]byte, bool)        { return nil, true }
func (*leaving) Flush() error                    { return nil }
func (c *leaving) Respond(*Response, bool) error { c.goAt("head"); return nil }
func (c *leaving) Write([]byte, bool) error      { c.goAt("last byte"); return nil }

func (c *leaving) goAt(when string) {
	if when == c.when {
		c.relay.Interrupt(ClientGone, 0)
	}
}

// TestInterruptBeforeRun gives up an answer whose caller was gone before the
// exchange was there, and no later one.
func TestInterruptBeforeRun(t *testing.T) {
	x := &Relay{}
	x.Await()
	x.Interrupt(ClientGone, 0)
	ex := &answering{}
	x.Run(&leaving{relay: x}, ex, &Request{}, 0)
	if ex.canceled != ClientGone {
		t.Errorf("canceled for %q", ex.canceled)
	}
	x.Await()
	ex = &answering{}
	x.Run(&leaving{relay: x}, ex, &Request{}, 0)
	if ex.canceled != ReasonNone {
		t.Errorf("the next one is canceled for %q", ex.canceled)
	}
	x.Interrupt(ClientGone, 0) // the answer was whole: it comes too late
	ex = &answering{}
	x.Run(&leaving{relay: x}, ex, &Request{}, 0)
	if ex.canceled != ReasonNone {
		t.Errorf("the one after is canceled for %q", ex.canceled)
	}
}

// TestInterrupt gives an answer up that is under way, and leaves one alone
// that the exchange has given whole.
func TestInterrupt(t *testing.T) {
	for when, want := range map[string]Reason{"head": ClientGone, "last byte": ReasonNone} {
		ex, x := &answering{}, &Relay{}
		out := x.Run(&leaving{relay: x, when: when}, ex, &Request{}, 0)
		if ex.canceled != want || ex.clean != (want == ReasonNone) {
			t.Errorf("gone at the %s: canceled for %q, clean %v, %+v", when, ex.canceled, ex.clean, out)
		}
	}
}

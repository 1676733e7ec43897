package flow

import (
	"cmp"
	"io"
	"testing"

	"github.com/leno-mesh/leno/proxy/http2"
)

// answering is an exchange whose answer is there already.
type answering struct {
	Exchange
	status   int // 200 when it is 0
	canceled Reason
	clean    bool
}

func (*answering) Send(*Request, []byte, bool) error { return nil }
func (e *answering) Receive(r *Response) error {
	*r = Response{Status: cmp.Or(e.status, 200), Length: 2}
	return nil
}
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

// hearing is a caller that keeps what it is told.
type hearing struct {
	Caller
	ended bool // by the head
	body  []byte
}

func (*hearing) Buffered() ([]byte, bool)              { return nil, true }
func (*hearing) Flush() error                          { return nil }
func (c *hearing) Respond(_ *Response, end bool) error { c.ended = end; return nil }
func (c *hearing) Write(p []byte, _ bool) error        { c.body = append(c.body, p...); return nil }

// TestBodiless has a peer send a body after a status that has none. It never
// reaches a caller: in HTTP/1 it would be the next answer.
func TestBodiless(t *testing.T) {
	for _, status := range []int{204, 304} {
		for _, v := range []Version{HTTP10, HTTP11, HTTP20} {
			ex, c := &answering{status: status}, &hearing{}
			out := new(Relay).Run(c, ex, &Request{Version: v}, 0)
			if len(c.body) > 0 || c.ended != (v != HTTP20) || out.Clean != c.ended {
				t.Errorf("%d to version %d: ended with the head %v, then %q: %+v", status, v, c.ended, c.body, out)
			}
			if out.Err == nil || out.Err.Reason != BadResponse || !out.Answered || ex.clean {
				t.Errorf("%d to version %d: %v, exchange clean %v", status, v, out.Err, ex.clean)
			}
		}
	}
}

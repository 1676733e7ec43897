package flow

import (
	"cmp"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// answering is an exchange whose answer is there already.
type answering struct {
	Exchange
	status   int // 200 when it is 0
	sent     bool
	canceled Reason
	clean    bool
	done     bool
}

func (e *answering) Send(*Request, []byte, bool) error { e.sent = true; return nil }
func (e *answering) Receive(r *Response) error {
	*r = Response{Status: cmp.Or(e.status, 200), Length: 2}
	return nil
}
func (*answering) Waits() bool                        { return false }
func (*answering) Next() ([]byte, error)              { return []byte("no"), io.EOF }
func (*answering) Trailers() []Field                  { return nil }
func (e *answering) Cancel(r Reason, _ http2.ErrCode) { e.canceled = r }
func (e *answering) Done(clean bool)                  { e.clean, e.done = clean, true }

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

// TestInterruptBeforeRun sends nothing for a caller that was gone before the
// exchange was there, and what later ones say.
func TestInterruptBeforeRun(t *testing.T) {
	x := &Relay{}
	x.Await()
	x.Interrupt(ClientGone, 0)
	ex := &answering{}
	out := x.Run(&leaving{relay: x}, ex, &Request{}, 0)
	if ex.canceled != ClientGone || ex.sent || !ex.done {
		t.Errorf("canceled for %q, sent %v, given back %v", ex.canceled, ex.sent, ex.done)
	}
	if out.Err == nil || out.Err.Reason != ClientGone || !out.Err.NotHanded || out.Again || out.Answered {
		t.Errorf("%+v", out)
	}
	x.Await()
	ex = &answering{}
	x.Run(&leaving{relay: x}, ex, &Request{}, 0)
	if ex.canceled != ReasonNone || !ex.sent {
		t.Errorf("the next one is canceled for %q, sent %v", ex.canceled, ex.sent)
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

// uploading is a caller whose body comes in pieces.
type uploading struct {
	hearing
	pieces []string
}

func (c *uploading) Buffered() ([]byte, bool) { return nil, len(c.pieces) == 0 }
func (*uploading) Waits() bool                { return false }
func (*uploading) StopBody()                  {}
func (*uploading) ResumeBody()                {}
func (*uploading) Trailers() []Field          { return nil }
func (*uploading) Spoil()                     {}
func (c *uploading) Next() ([]byte, error) {
	p := c.pieces[0]
	if c.pieces = c.pieces[1:]; len(c.pieces) == 0 {
		return []byte(p), io.EOF
	}
	return []byte(p), nil
}

// taking is an exchange that keeps the request's body. It fails as told: at its
// head with a request that was not handed over, or within the answer's body.
type taking struct {
	answering
	took         []byte
	received     chan struct{} // closed when the request is whole
	refuses, cut bool
}

func (e *taking) Send(_ *Request, body []byte, end bool) error { return e.Write(body, end) }
func (*taking) Flush() error                                   { return nil }
func (*taking) Watch(func())                                   {}
func (*taking) Unwatch()                                       {}
func (e *taking) Write(p []byte, end bool) error {
	e.took = append(e.took, p...)
	if end {
		close(e.received)
	}
	return nil
}

func (e *taking) Receive(r *Response) error {
	<-e.received
	if e.refuses {
		return NotHanded(AppReset, nil)
	}
	return e.answering.Receive(r)
}

func (e *taking) Next() ([]byte, error) {
	if e.cut {
		return nil, Fail(AppReset, nil)
	}
	return e.answering.Next()
}

// TestEndedBeforeItRuns has a caller be gone for good before its request has an
// exchange: it is not sent, nor is one after it.
func TestEndedBeforeItRuns(t *testing.T) {
	x := &Relay{}
	x.EndFor(ClientGone, http2.ErrCodeCancel)
	x.End() // the proxy ends too, which changes nothing
	for range 2 {
		ex := &taking{received: make(chan struct{})}
		out := x.Run(&uploading{pieces: []string{"late"}}, ex, &Request{Length: -1}, 0)
		if out.Err == nil || out.Err.Reason != ClientGone || !out.Err.NotHanded || len(ex.took) > 0 {
			t.Errorf("%q was sent: %+v", ex.took, out)
		}
	}
}

// TestKeptBodyEnds has what was kept of a body for another try end with its
// request, whatever became of that: the next request is another client's.
func TestKeptBodyEnds(t *testing.T) {
	for _, cut := range []bool{false, true} {
		x := &Relay{Keep: true, OnFailure: func(e *Error) { t.Error(e) }}
		c := &uploading{pieces: []string{"se", "cret"}}
		first := &taking{refuses: true, received: make(chan struct{})}
		if out := x.Run(c, first, &Request{Length: -1}, 0); !out.Again || string(first.took) != "secret" {
			t.Fatalf("%q, %+v", first.took, out)
		}
		second := &taking{cut: cut, received: make(chan struct{})}
		if out := x.Run(c, second, &Request{Length: -1}, 0); out.Again && cut || string(second.took) != "secret" {
			t.Errorf("%q, %+v", second.took, out)
		}
		other := &taking{received: make(chan struct{})}
		if x.Run(&hearing{}, other, &Request{}, 0); len(other.took) > 0 {
			t.Errorf("cut %v: another request got %q", cut, other.took)
		}
	}
}

// stuck is an exchange whose other end answers and takes no more than the head.
type stuck struct {
	taking
	canceled chan struct{}
}

func (e *stuck) Write([]byte, bool) error         { <-e.canceled; return io.ErrClosedPipe }
func (e *stuck) Cancel(r Reason, _ http2.ErrCode) { e.answering.canceled = r; close(e.canceled) }
func (*stuck) Send(*Request, []byte, bool) error  { return nil }
func (e *stuck) Receive(r *Response) error        { return e.answering.Receive(r) }

// TestUntaken has an application answer and then neither read the body nor
// close: the client's connection does not wait for ever.
func TestUntaken(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		set    time.Duration
		want   time.Duration
	}{
		{[]string{"the last"}, 0, UntakenTime},
		{[]string{"one", "more"}, 0, UntakenTime},
		{[]string{"one", "more"}, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, x, pieces := time.Now(), &Relay{Untaken: tt.set}, tt.pieces
			ex := &stuck{canceled: make(chan struct{})}
			out := x.Run(&uploading{pieces: pieces}, ex, &Request{Length: -1}, 0)
			took := time.Since(begun)
			if out.Err != nil || out.Clean || ex.answering.canceled != ClientGone || took < tt.want || took > 2*tt.want {
				t.Errorf("%q: %+v after %v, canceled for %q", pieces, out, took, ex.answering.canceled)
			}
		})
	}
}

// TestKeptIsCounted has what is kept of a large request counted for as long as
// it is there, and not kept at all where it is too much or memory is short.
func TestKeptIsCounted(t *testing.T) {
	head := strings.Repeat("x", 3*SmallBuffer)
	const heads = 2*SmallBuffer + 1
	for _, tt := range []struct {
		name   string
		room   int64
		pieces int // of SmallBuffer bytes
		again  bool
		used   int64 // when all of the body has been read
	}{
		{"a small one", 1 << 20, 1, true, heads},
		{"a large one", 1 << 20, 2, true, heads + LargeBuffer - SmallBuffer},
		{"a larger one", 1 << 20, 5, true, heads + MaxHead - SmallBuffer},
		{"as large as may be", 1 << 20, 16, true, heads + MaxHead - SmallBuffer},
		{"too large a one", 1 << 20, 17, false, heads},
		{"little memory", 2 * SmallBuffer, 2, false, heads},
		{"a quarter is enough", 4 * (LargeBuffer - SmallBuffer), 2, true, heads + LargeBuffer - SmallBuffer},
		{"a quarter is too little", 4*(LargeBuffer-SmallBuffer) - 1, 2, false, heads},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &Relay{Keep: true, Buffers: &Buffers{Wide: tt.room}}
			ex := &looking{taking: taking{refuses: true, received: make(chan struct{})}, relay: x}
			x.OnFailure = func(*Error) {}
			var body string
			c := &uploading{}
			for i := range tt.pieces {
				c.pieces = append(c.pieces, strings.Repeat(string(rune('a'+i)), SmallBuffer))
				body += c.pieces[i]
			}
			r := &Request{Length: -1, Fields: []Field{{Name: "x", Value: head}}}
			out := x.Run(c, ex, r, 0)
			if out.Again != tt.again || ex.used != tt.used {
				t.Errorf("%d bytes are used, want %d: %+v", ex.used, tt.used, out)
			}
			if out.Again {
				next := &taking{received: make(chan struct{})}
				if x.Run(c, next, r, 0); string(next.took) != body {
					t.Errorf("the next try got %d bytes, not the %d that there are", len(next.took), len(body))
				}
			}
			if x.Forget(); x.Buffers.Used() != 0 || r.Fields[0].Value != head {
				t.Errorf("%d bytes are used at the end", x.Buffers.Used())
			}
		})
	}
}

// looking is an exchange that looks at how much is kept when the body is whole.
type looking struct {
	taking
	relay *Relay
	used  int64
}

func (e *looking) Receive(r *Response) error {
	err := e.taking.Receive(r)
	e.used = e.relay.Buffers.Used()
	return err
}

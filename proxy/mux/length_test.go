package mux

import (
	"io"
	"testing"

	"github.com/leno-mesh/leno/proxy/http2"
)

// TestAnswerLength holds the bodies of answers against the lengths that their
// heads give. Only answers to HEAD and those of status 304 have none.
func TestAnswerLength(t *testing.T) {
	for _, tt := range []struct {
		name, method, status, length, body string
		ok                                 bool
	}{
		{"whole", "GET", "200", "5", "hello", true},
		{"no length", "GET", "200", "", "", true},
		{"length of nothing", "GET", "200", "0", "", true},
		{"short", "GET", "200", "5", "hell", false},
		{"long", "GET", "200", "5", "hello!", false},
		{"nothing", "GET", "200", "5", "", false},
		{"answer to HEAD", "HEAD", "200", "5", "", true},
		{"answer to HEAD with a body", "HEAD", "200", "5", "hello", false},
		{"304", "GET", "304", "5", "", true},
		{"304 with a body", "GET", "304", "5", "hello", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := overPipe(t, Config{Strict: true}, Config{}, func(s *Stream) {
				head := []http2.Field{{Name: ":status", Value: tt.status}}
				if tt.length != "" {
					head = append(head, length(tt.length))
				}
				_ = s.WriteHead(head, false)
				_ = s.WriteFinal([]byte(tt.body))
			})
			s, err := p.client.Open([]http2.Field{
				{Name: ":method", Value: tt.method},
				{Name: ":scheme", Value: "http"},
				{Name: ":authority", Value: "a.b"},
				{Name: ":path", Value: "/"},
			}, true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Release()
			if _, _, err = s.Head(ctx); err == nil {
				_, err = io.ReadAll(s)
			}
			if ok := err == nil; ok != tt.ok {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

package flow

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuietConnectionLives has an opaque connection be silent for days, both ends
// and then one of them, and carry bytes as before.
func TestQuietConnectionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, client := net.Pipe()
		far, server := net.Pipe()
		began := time.Now()
		seats := &Seats{Idle: time.Hour, silence: func(net.Conn) time.Duration { return time.Since(began) }}
		c := NewConn(near, &Buffers{})
		to := ConnDuplex{NewConn(far, &Buffers{})}
		c.Seat, _ = seats.Take(c.Conn)
		c.Seat.Reads() // as one does whose client was silent at first
		c.Seat.Opaque(to)
		done := make(chan error, 1)
		go func() { done <- Pipe(ConnDuplex{c}, to, &Buffers{}, &Counts{}) }()
		night := func() {
			for range 8 * time.Hour / time.Minute {
				time.Sleep(time.Minute)
				seats.Sweep(0)
			}
		}
		say := func(from, to net.Conn) {
			t.Helper()
			go io.WriteString(from, "hello")
			b := make([]byte, 5)
			if _, err := io.ReadFull(to, b); err != nil || string(b) != "hello" {
				t.Fatalf("%q, %v", b, err)
			}
		}
		for range 3 {
			night()
			say(client, server)
			night()
			say(server, client)
		}
		client.Close()
		server.Close()
		if err := <-done; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

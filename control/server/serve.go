package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// serve runs an HTTP server on l until ctx ends, lets what is in flight end
// for the time of grace, then ends it, and waits for that.
func serve(ctx context.Context, srv *http.Server, l net.Listener, grace time.Duration) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if srv.Shutdown(patience) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

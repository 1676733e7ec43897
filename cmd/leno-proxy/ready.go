package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/proxy/sidecar"
)

// askEvery is how often ready asks while it waits.
const askEvery = 50 * time.Millisecond

// ready asks a running proxy whether it is ready. The error says what the proxy
// waits for; a kubelet shows it among the events of the pod.
func ready(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("leno-proxy ready", flag.ContinueOnError)
	address := fs.String("address", os.Getenv("POD_IP"), "`IP` of the proxy's admin pages (default $POD_IP, or 127.0.0.1)")
	port := fs.Int("admin-port", sidecar.AdminPort, "their port")
	wait := fs.Duration("wait", 0, "how long to wait for it")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *address == "" {
		*address = "127.0.0.1"
	}
	at, err := netip.ParseAddr(*address)
	if err != nil {
		return fmt.Errorf("--address %q: want an IP address", *address)
	}
	url := "http://" + net.JoinHostPort(at.String(), strconv.Itoa(*port)) + "/ready"
	transport := &http.Transport{Proxy: nil}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	end := time.Now().Add(*wait)
	for {
		err := askReady(ctx, client, url)
		if err == nil || !time.Now().Before(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(askEvery):
		}
	}
}

// askReady asks once.
func askReady(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // who runs this says where the proxy is
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("the proxy's answer ended early: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// Load is 64 connections as fast as they go, and 2,000 requests per second
// over 8 connections.
const (
	busyConnections   = 64
	steadyConnections = 8
	steadyRate        = 2000
)

// busy is the outcome of load without a limit.
type busy struct {
	requests int
	rps      float64
}

// steady is the outcome of load at a fixed rate, in milliseconds.
type steady struct {
	requests      int
	p50, p90, p99 float64
}

// wrk loads the target for a while. Any failed request is an error.
func (s *site) wrk(ctx context.Context, target string, length time.Duration) (busy, error) {
	out, err := output(ctx, s.tools["wrk"], "-t1", "-c"+strconv.Itoa(busyConnections),
		"-d"+strconv.Itoa(max(1, int(length.Seconds())))+"s", "http://"+target+"/")
	if err != nil {
		return busy{}, err
	}
	return parseWrk(out)
}

// fortio loads the target at the fixed rate. Its histogram needs a fine
// resolution, else its buckets hide the answer.
func (s *site) fortio(ctx context.Context, target string, length time.Duration) (steady, error) {
	out, err := output(ctx, s.tools["fortio"], "load", "-quiet", "-json", "-", "-p", "50,90,99",
		"-r", "0.00001", "-qps", strconv.Itoa(steadyRate), "-c", strconv.Itoa(steadyConnections),
		"-t", length.String(), "http://"+target+"/")
	if err != nil {
		return steady{}, err
	}
	return parseFortio(out)
}

func output(ctx context.Context, path string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, path, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %w: %s", path, err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// parseWrk reads what wrk prints.
func parseWrk(out []byte) (b busy, err error) {
	for _, sign := range []string{"Non-2xx", "Socket errors"} {
		if i := bytes.Index(out, []byte(sign)); i >= 0 {
			line, _, _ := bytes.Cut(out[i:], []byte("\n"))
			return b, fmt.Errorf("wrk: requests failed: %s", line)
		}
	}
	count := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	rate := regexp.MustCompile(`Requests/sec:\s+([\d.]+)`).FindSubmatch(out)
	if count == nil || rate == nil {
		return b, fmt.Errorf("wrk: unknown output: %s", out)
	}
	b.requests, err = strconv.Atoi(string(count[1]))
	if err != nil {
		return b, err
	}
	b.rps, err = strconv.ParseFloat(string(rate[1]), 64)
	return b, err
}

// parseFortio reads fortio's JSON.
func parseFortio(out []byte) (steady, error) {
	var report struct {
		RetCodes          map[string]int
		DurationHistogram struct {
			Count       int
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return steady{}, fmt.Errorf("fortio: %w", err)
	}
	s := steady{requests: report.DurationHistogram.Count}
	if s.requests == 0 || report.RetCodes["200"] != s.requests {
		return s, fmt.Errorf("fortio: requests failed: %v", report.RetCodes)
	}
	for _, p := range report.DurationHistogram.Percentiles {
		switch p.Percentile {
		case 50:
			s.p50 = p.Value * 1000
		case 90:
			s.p90 = p.Value * 1000
		case 99:
			s.p99 = p.Value * 1000
		}
	}
	return s, nil
}

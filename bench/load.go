package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// runner does one load.
type runner = func(context.Context, *site, string, time.Duration) (outcome, error)

func seconds(d time.Duration) string { return strconv.Itoa(max(1, int(d.Seconds()))) }

// wrk loads a target as fast as it goes. Any failed request is an error.
func wrk(connections int, path string, more ...string) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		args := append([]string{"-t1", "-c" + strconv.Itoa(connections), "-d" + seconds(length) + "s", "--latency"}, more...)
		out, err := output(ctx, s.tools["wrk"], append(args, "http://"+address+path)...)
		if err != nil {
			return outcome{}, err
		}
		return parseWrk(out)
	}
}

// fortio loads a target at a fixed rate, or as fast as it goes when that is
// 0. Its histogram needs a fine resolution, else its buckets hide the answer.
func fortio(connections, rate int) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		out, err := output(ctx, s.tools["fortio"], fortioArgs(connections, rate, length, "http://"+address+"/")...)
		if err != nil {
			return outcome{}, err
		}
		return parseFortio(out, "200")
	}
}

// grpcPing calls the ping of fortio's own gRPC server.
func grpcPing(connections, rate int) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		out, err := output(ctx, s.tools["fortio"], fortioArgs(connections, rate, length, "-grpc", "-ping", "-payload-size", "100", address)...)
		if err != nil {
			return outcome{}, err
		}
		return parseFortio(out, "SERVING")
	}
}

func fortioArgs(connections, rate int, length time.Duration, more ...string) []string {
	return append([]string{
		"load", "-quiet", "-json", "-", "-p", "50,90,99", "-r", "0.00001", "-qps", strconv.Itoa(rate),
		"-c", strconv.Itoa(connections), "-t", length.String(),
	}, more...)
}

// h2load loads a target over HTTP/2, one request at a time on each connection.
func h2load(connections int) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		out, err := output(ctx, s.tools["h2load"], "-t1", "-c", strconv.Itoa(connections), "-m1", "-D", seconds(length), "http://"+address+"/")
		if err != nil {
			return outcome{}, err
		}
		return parseH2load(out)
	}
}

// bulk sends bytes as fast as they go, with iperf3.
func bulk(more ...string) runner {
	return func(ctx context.Context, s *site, address string, length time.Duration) (outcome, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return outcome{}, err
		}
		args := append([]string{"--json", "--client", host, "--port", port, "--time", seconds(length)}, more...)
		out, err := output(ctx, s.tools["iperf3"], args...)
		if err != nil {
			return outcome{}, err
		}
		return parseIperf(out)
	}
}

func output(ctx context.Context, path string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, path, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s %s: %w: %s %.500s", path, strings.Join(args, " "), err, bytes.TrimSpace(exit.Stderr), out)
	}
	return out, err
}

// number finds what a pattern's first group matches.
func number(out []byte, pattern string) (float64, error) {
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no %q in %.500s", pattern, out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// parseWrk reads what wrk prints.
func parseWrk(out []byte) (o outcome, err error) {
	for _, sign := range []string{"Non-2xx", "Socket errors"} {
		if i := bytes.Index(out, []byte(sign)); i >= 0 {
			line, _, _ := bytes.Cut(out[i:], []byte("\n"))
			return o, fmt.Errorf("wrk: requests failed: %s", line)
		}
	}
	count, err := number(out, `(\d+) requests in`)
	if err != nil {
		return o, err
	}
	o.requests = int(count)
	if o.rps, err = number(out, `Requests/sec:\s+([\d.]+)`); err != nil {
		return o, err
	}
	for percent, to := range map[string]*float64{"50": &o.p50, "90": &o.p90, "99": &o.p99} {
		m := regexp.MustCompile(percent + `%\s+([\d.]+\w+)`).FindSubmatch(out)
		if m == nil {
			continue
		}
		d, err := time.ParseDuration(string(m[1]))
		if err != nil {
			return o, err
		}
		*to = float64(d) / float64(time.Millisecond)
	}
	return o, nil
}

// parseH2load reads what h2load prints.
func parseH2load(out []byte) (o outcome, err error) {
	done, err := number(out, `requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded`)
	if err != nil {
		return o, err
	}
	for _, pattern := range []string{`(\d+) failed`, `(\d+) errored`, `(\d+) timeout`} {
		if n, err := number(out, pattern); err != nil || n > 0 {
			return o, fmt.Errorf("h2load: requests failed: %.500s", out)
		}
	}
	o.requests = int(done)
	o.rps, err = number(out, `([\d.]+) req/s`)
	return o, err
}

// parseFortio reads fortio's JSON. Every answer must have the code.
func parseFortio(out []byte, code string) (outcome, error) {
	var report struct {
		RetCodes          map[string]int
		ActualQPS         float64
		DurationHistogram struct {
			Count       int
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return outcome{}, fmt.Errorf("fortio: %w", err)
	}
	o := outcome{requests: report.DurationHistogram.Count, rps: report.ActualQPS}
	if o.requests == 0 || report.RetCodes[code] != o.requests {
		return o, fmt.Errorf("fortio: requests failed: %v", report.RetCodes)
	}
	for _, p := range report.DurationHistogram.Percentiles {
		switch p.Percentile {
		case 50:
			o.p50 = p.Value * 1000
		case 90:
			o.p90 = p.Value * 1000
		case 99:
			o.p99 = p.Value * 1000
		}
	}
	return o, nil
}

// parseIperf reads iperf3's JSON. A "request" is a megabyte that arrived, so
// that CPU time can be told for it.
func parseIperf(out []byte) (outcome, error) {
	var report struct {
		Error string
		End   struct {
			Received struct {
				Bytes float64
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return outcome{}, fmt.Errorf("iperf3: %w", err)
	}
	r := report.End.Received
	if report.Error != "" || r.Bytes == 0 {
		return outcome{}, fmt.Errorf("iperf3: nothing arrived: %s", report.Error)
	}
	return outcome{requests: int(r.Bytes / 1e6), gbits: r.Rate / 1e9}, nil
}

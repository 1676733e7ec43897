package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// interopCases are those of grpc's own client that need no cloud account. The
// others prove who the caller is to Google, but for pick_first_unary, which asks
// for the name of a server in the cloud that grpc's own server does not give.
func interopCases() []string {
	return []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
		"status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service",
		"orca_per_rpc", "orca_oob", "rpc_soak", "channel_soak",
	}
}

// orca switches on what the two cases of load reports look at.
const orca = `{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`

// serveInterop starts grpc's own server.
func serveInterop(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	server := harness.Tool(t, "interop-server")
	start := func() *harness.Process {
		return harness.Start(t, at, harness.Program{Name: "interop-server", Args: []string{server, fmt.Sprintf("-port=%d", port)}})
	}
	p := start()
	return func(t *testing.T) {
		t.Helper()
		p.Kill()
		p = start()
		at.Serves(t, port)
	}
}

// judgeInterop runs all cases, and all of them again after the server was
// killed and started anew: connections that the proxies kept lead nowhere then.
func judgeInterop(t *testing.T, c *court) {
	client := harness.Tool(t, "interop-client")
	at := c.Address(c.port)
	for _, round := range []string{"", ", server restarted"} {
		for _, k := range interopCases() {
			args := []string{client, "-server_host=" + at.Addr().String(), fmt.Sprintf("-server_port=%d", at.Port()), "-test_case=" + k}
			switch {
			case strings.HasPrefix(k, "orca"):
				args = append(args, "-service_config_json="+orca)
			case strings.HasSuffix(k, "soak"):
				args = append(args, "-soak_iterations=50", "-soak_overall_timeout_seconds=60", "-soak_per_iteration_max_acceptable_latency_ms=30000")
			}
			out, err := c.exec(t, args...)
			if err != nil {
				err = errors.Join(err, errors.New(strings.Join(slices.DeleteFunc(strings.Split(out, "\n"), good), "\n")))
			}
			c.verdict(k+round, err)
		}
		if round == "" {
			c.restart(t)
		}
	}
}

// good finds the lines that say that all is well: a soak has one for each call.
func good(line string) bool { return strings.HasSuffix(line, " succeeded") }

// interopProto is as much of grpc's test service as ghz calls.
const interopProto = `syntax = "proto3";
package grpc.testing;
message Payload { int32 type = 1; bytes body = 2; }
message SimpleRequest { int32 response_type = 1; int32 response_size = 2; Payload payload = 3; }
message SimpleResponse { Payload payload = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; }
message StreamingOutputCallRequest { int32 response_type = 1; repeated ResponseParameters response_parameters = 2; Payload payload = 3; }
message StreamingOutputCallResponse { Payload payload = 1; }
service TestService {
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
}
`

// judgeGhz loads grpc's own server, with calls of each kind.
func judgeGhz(t *testing.T, c *court) {
	ghz := harness.Tool(t, "ghz")
	proto := filepath.Join(harness.Dir(t, 0), "test.proto")
	if err := os.WriteFile(proto, []byte(interopProto), 0o600); err != nil {
		t.Fatal(err)
	}
	const calls = 500
	for _, k := range []struct{ name, method, data string }{
		{"unary", "UnaryCall", `{"response_size":100}`},
		{"large unary", "UnaryCall", `{"response_size":100000}`},
		{"server stream", "StreamingOutputCall", `{"response_parameters":[{"size":10},{"size":20000},{"size":0}]}`},
		{"both streams", "FullDuplexCall", `[{"response_parameters":[{"size":10}]},{"response_parameters":[{"size":20000}]}]`},
	} {
		out, err := c.exec(t, ghz, "--insecure", "--proto", proto, "--call", "grpc.testing.TestService/"+k.method, "-d", k.data,
			"-n", fmt.Sprint(calls), "-c", "20", "--connections", "4", "--timeout", "60s", c.Address(c.port).String())
		if want := fmt.Sprintf("[OK]   %d responses", calls); err == nil && !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			err = fmt.Errorf("want %q in\n%s", want, out)
		}
		c.verdict(k.name, err)
	}
}

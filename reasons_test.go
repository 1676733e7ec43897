package leno_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/flow"
)

const reasonsPage = "docs/reasons.md"

var update = flag.Bool("update", false, "write docs/reasons.md anew")

// TestReasonsPage holds the page against the one table in the code.
func TestReasonsPage(t *testing.T) {
	want := reasonsText()
	if *update {
		if err := os.WriteFile(reasonsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reasonsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the table in proxy/flow; write it anew with: go test -run TestReasonsPage . -update", reasonsPage)
	}
}

// TestReasons looks at the table itself: codes are what people look up.
func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range flow.Reasons() {
		row := r.Row()
		if row.Code == "" || row.What == "" || row.Next == "" || row.Status < 400 || row.GRPC < 1 || row.GRPC > 16 {
			t.Errorf("reason %d is incomplete: %+v", r, row)
		}
		if seen[row.Code] {
			t.Errorf("the code %q stands for two reasons", row.Code)
		}
		seen[row.Code] = true
		if got := flow.ParseReason(row.Code); got != r {
			t.Errorf("ParseReason(%q) = %v", row.Code, got)
		}
	}
}

const reasonsIntro = `# Reasons

Everything that Leno itself fails or denies carries one of these codes: in the
header ` + "`leno-reason`" + ` of the answer, in the proxy's log and in its metrics. An
answer without this header was made by the application.

The status is that of an answer over HTTP. A gRPC call gets the gRPC status
instead, in the trailers where its answer had begun; a connection that is not
HTTP is closed. *Stage* is the step of
the request's way that failed; [request.md](request.md) tells that way.

<!-- Written by "go test -run TestReasonsPage . -update" from the table in proxy/flow. -->

| code | stage | HTTP | gRPC | what happened | what to do |
|---|---|---|---|---|---|
`

func reasonsText() string {
	var b strings.Builder
	b.WriteString(reasonsIntro)
	for _, r := range flow.Reasons() {
		row := r.Row()
		fmt.Fprintf(&b, "| `%s` | %s | %d | %d %s | %s | %s |\n",
			row.Code, row.Stage, row.Status, row.GRPC, grpcNames[row.GRPC], cell(row.What), cell(row.Next))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// grpcNames are the names of the gRPC status codes.
var grpcNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
	"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

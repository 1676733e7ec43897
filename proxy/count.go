package proxy

import (
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/telemetry"
)

// count counts the answer to a request that was relayed, or failed for good
// after it had been handed over.
func count(h *telemetry.HTTP, x *flow.Relay, r *flow.Request, out flow.Outcome, start time.Time) {
	if out.Err != nil {
		h.Failed(out.Err.Reason.String())
	}
	if out.Told {
		respondedSelf(h, out.Err.Reason, r)
		return
	}
	ok := out.Err == nil && x.Response.Status < 500
	grpc := x.GRPCStatus
	if r.GRPC() && x.Response.Status == 200 {
		switch {
		case grpc >= 0:
		case out.Err != nil:
			grpc = out.Err.Reason.Row().GRPC
		default:
			grpc = grpcUnknown // a call without a status did not end well
		}
		ok = ok && !grpcFailure(grpc)
	}
	h.Response(x.Response.Status, grpc, ok, x.HeadAt.Sub(start))
}

// countFailed counts a request that Leno answered itself.
func countFailed(h *telemetry.HTTP, reason flow.Reason, r *flow.Request) {
	h.Request()
	h.Failed(reason.String())
	respondedSelf(h, reason, r)
}

// respondedSelf counts the answer that Leno made.
func respondedSelf(h *telemetry.HTTP, reason flow.Reason, r *flow.Request) {
	row := reason.Row()
	if r.GRPC() {
		h.Response(200, row.GRPC, false, 0)
		return
	}
	h.Response(row.Status, -1, false, 0)
}

const grpcUnknown = 2

// grpcFailure says whether a gRPC status speaks of a failing server rather than
// of what was asked of it: UNKNOWN, DEADLINE_EXCEEDED, PERMISSION_DENIED,
// INTERNAL, UNAVAILABLE and DATA_LOSS, as Linkerd classifies them.
func grpcFailure(status int) bool {
	switch status {
	case grpcUnknown, 4, 7, 13, 14, 15:
		return true
	}
	return status < 0 || status > 16
}

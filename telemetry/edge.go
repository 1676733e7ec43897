package telemetry

import (
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// Direction says which side of a call this proxy is on.
type Direction uint8

// The two sides.
const (
	Inbound Direction = iota
	Outbound
)

// String gives the word in the labels.
func (d Direction) String() string {
	return [...]string{"inbound", "outbound"}[d%2]
}

// Edge says between whom something happens. It is the set of labels that all
// series of an edge share; an empty field gives no label. Edges are compared
// by value: the same Edge always gives the same counters.
type Edge struct {
	Direction Direction
	// TLS is true on a link. NoTLSReason says why it is false: "not_meshed",
	// "loopback", "unknown", "unauthenticated".
	TLS         bool
	NoTLSReason string
	ClientID    mesh.Identity
	ServerID    mesh.Identity
	Authority   string
	// Who is called. DstPod is the instance's name, DstDeployment what runs
	// it where that is known.
	DstNamespace  string
	DstService    string
	DstPort       string
	DstPod        string
	DstDeployment string
	// Route is the name of the rule that matched.
	Route string
}

// Label is one label of a series.
type Label struct {
	Name  string
	Value string
}

// folded is the value of the labels of the edges that found no room.
const folded = "other"

// maxLabel bounds a label's value in bytes: an authority comes from a client.
const maxLabel = 256

func otherEdge(d Direction) Edge {
	return Edge{Direction: d, Authority: folded, DstNamespace: folded, DstService: folded}
}

func (e Edge) isOther() bool { return e == otherEdge(e.Direction) }

func (e Edge) labels() []Label {
	out := make([]Label, 0, 12)
	add := func(name, value string) {
		if value != "" {
			out = append(out, Label{name, clean(value)})
		}
	}
	add("direction", e.Direction.String())
	if !e.isOther() {
		add("tls", map[bool]string{true: "true", false: "false"}[e.TLS])
	}
	add("no_tls_reason", e.NoTLSReason)
	add("client_id", string(e.ClientID))
	add("server_id", string(e.ServerID))
	add("authority", e.Authority)
	add("dst_namespace", e.DstNamespace)
	add("dst_service", e.DstService)
	add("dst_port", e.DstPort)
	add("dst_pod", e.DstPod)
	add("dst_deployment", e.DstDeployment)
	add("route_name", e.Route)
	return out
}

// clean makes a value that every reader accepts: valid UTF-8 of bounded size.
func clean(v string) string {
	if len(v) > maxLabel {
		v = v[:maxLabel]
	}
	return strings.ToValidUTF8(v, "_")
}

// renderLabels gives the labels as they stand between the braces.
func renderLabels(labels []Label) string {
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name)
		b.WriteString(`="`)
		b.WriteString(labelEscaper.Replace(l.Value))
		b.WriteByte('"')
	}
	return b.String()
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`) //nolint:gochecknoglobals // immutable

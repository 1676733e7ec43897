package schema

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leno-mesh/leno/control/catalog"
)

// Limits of one file.
const (
	MaxFileSize  = 4 << 20 // bytes
	MaxDocuments = 10_000
)

// Resource is one document of a kind that Leno reads, valid and with its
// defaults filled in.
type Resource interface {
	// Ref says which resource it is.
	Ref() Ref
	// Change puts the resource into the catalog.
	Change() catalog.Change

	metadata() *Metadata
	check(c *checker)
}

// Ref says which resource something is and where it was written.
type Ref struct {
	Kind      string
	Namespace string
	Name      string
	File      string
	Line      int // of the document's first field
}

// String gives "Kind namespace/name".
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// newResource gives an empty resource of that kind, or nil.
func newResource(apiVersion, kind string) Resource {
	switch apiVersion + " " + kind {
	case "v1 Service":
		return new(Service)
	case "discovery.k8s.io/v1 EndpointSlice":
		return new(EndpointSlice)
	case "gateway.networking.k8s.io/v1 HTTPRoute", "gateway.networking.k8s.io/v1beta1 HTTPRoute":
		return new(HTTPRoute)
	case "leno.dev/v1alpha1 AccessPolicy":
		return new(AccessPolicy)
	default:
		return nil
	}
}

const kindsWord = "want v1 Service, discovery.k8s.io/v1 EndpointSlice, gateway.networking.k8s.io/v1 HTTPRoute or leno.dev/v1alpha1 AccessPolicy"

// Parse reads all documents of a YAML or JSON file, which name is used for in
// messages only. The error is of type Errors and lists everything that is
// wrong; there are no resources then. Empty documents are passed over, and a
// v1 List counts as the documents in it.
func Parse(name string, b []byte) ([]Resource, error) {
	p := &parser{decoder: decoder{file: name}}
	if len(b) > MaxFileSize {
		p.fail(0, "", "has %d bytes, more than %d: split it", len(b), MaxFileSize)
		return nil, p.errs
	}
	p.documents(b)
	if err := p.errs.orNil(); err != nil {
		return nil, err
	}
	return p.resources, nil
}

type parser struct {
	decoder
	resources []Resource
}

func (p *parser) documents(b []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	for n := 0; ; n++ {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.syntax(err)
			return // the parser has lost its place
		}
		if n == MaxDocuments {
			p.fail(doc.Line, "", "more than %d documents: split the file", MaxDocuments)
			return
		}
		for _, root := range doc.Content {
			p.document(root, true)
		}
	}
}

var lineInError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (p *parser) syntax(err error) {
	m := lineInError.FindStringSubmatch(err.Error())
	line, message := 0, err.Error()
	if m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.TrimPrefix(message, m[0])
	}
	p.fail(line, "", "not YAML: %s", message)
}

func (p *parser) document(root *yaml.Node, listAllowed bool) {
	if isNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		p.fail(root.Line, "", "want a resource with apiVersion and kind, got %s", describe(root))
		return
	}
	apiVersion, kind := child(root, "apiVersion"), child(root, "kind")
	switch {
	case apiVersion == nil || apiVersion.Value == "":
		p.fail(root.Line, "apiVersion", "is missing: %s", kindsWord)
	case kind == nil || kind.Value == "":
		p.fail(root.Line, "kind", "is missing: %s", kindsWord)
	case listAllowed && apiVersion.Value == "v1" && kind.Value == "List":
		p.list(root)
	default:
		r := newResource(apiVersion.Value, kind.Value)
		if r == nil {
			p.fail(kind.Line, "kind", "%s %s is not a kind that Leno reads: %s", apiVersion.Value, kind.Value, kindsWord)
			return
		}
		p.resource(root, kind.Value, r)
	}
}

func (p *parser) list(root *yaml.Node) {
	items := child(root, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		p.fail(root.Line, "items", "want a list of resources")
		return
	}
	for _, item := range items.Content {
		if len(p.resources) == MaxDocuments {
			p.fail(item.Line, "items", "more than %d documents: split the file", MaxDocuments)
			return
		}
		p.document(item, false)
	}
}

func (p *parser) resource(root *yaml.Node, kind string, r Resource) {
	before := len(p.errs)
	p.value(root, reflect.ValueOf(r).Elem(), "", 0)
	m := r.metadata()
	m.defaults()
	m.ref = Ref{Kind: kind, Namespace: m.Namespace, Name: m.Name, File: p.file, Line: root.Line}
	c := &checker{decoder: &p.decoder, root: root, told: p.errs[before:]}
	m.check(c)
	r.check(c)
	p.resources = append(p.resources, r)
}

// child gives the value of a field of a mapping, or nil.
func child(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

package schema

import (
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Metadata is what every resource says about itself.
type Metadata struct {
	Name              string            `yaml:"name"`
	Namespace         string            `yaml:"namespace"` // "default" when not given
	Labels            map[string]string `yaml:"labels"`
	CreationTimestamp string            `yaml:"creationTimestamp"`

	_ ignored `yaml:"annotations,uid,resourceVersion,generation,generateName,managedFields,ownerReferences,finalizers,selfLink,deletionTimestamp,deletionGracePeriodSeconds"`

	ref     Ref
	created time.Time
}

// Ref says which resource it is.
func (m *Metadata) Ref() Ref { return m.ref }

func (m *Metadata) metadata() *Metadata { return m }

func (m *Metadata) defaults() {
	if m.Namespace == "" {
		m.Namespace = "default"
	}
}

func (m *Metadata) check(c *checker) {
	switch {
	case m.Name == "":
		c.wrong("metadata.name", "is missing: give the resource a name")
	case m.ref.Kind != "Service" && !mesh.ValidName(m.Name): // a Service's must be shorter
		c.wrong("metadata.name", "want lower-case letters, digits, dashes and dots, got %q", m.Name)
	}
	c.label("metadata.namespace", m.Namespace)
	if m.CreationTimestamp != "" {
		t, err := time.Parse(time.RFC3339, m.CreationTimestamp)
		if err != nil {
			c.wrong("metadata.creationTimestamp", "want a time like 2006-01-02T15:04:05Z, got %q", m.CreationTimestamp)
		}
		m.created = t.UTC()
	}
}

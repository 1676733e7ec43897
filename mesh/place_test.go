package mesh

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	here := Place{Zone: "a", Node: "n1"}
	tests := []struct {
		name string
		at   Place
		// endpoints are "NAME NEAR", a name in capitals drains, "!" is Only.
		endpoints []string
		want      string
	}{
		{"nothing is said", here, []string{"x", "y"}, "x y"},
		{"own zone", here, []string{"x zone/a", "y zone/b"}, "x"},
		{"several zones", here, []string{"x zone/b zone/a", "y zone/b"}, "x"},
		{"own node before own zone", here, []string{"x zone/a node/n2", "y zone/a node/n1"}, "y"},
		{"no endpoint on the node", here, []string{"x zone/a node/n2", "y zone/b node/n3"}, "x"},
		{"nobody is near", here, []string{"x zone/b", "y zone/c"}, "x y"},
		{"one says nothing", here, []string{"x zone/a", "y"}, "x y"},
		{"one that drains need not say", here, []string{"x zone/a", "y zone/b", "Z"}, "x Z"},
		{"only those that drain", here, []string{"X zone/b"}, "X"},
		{"the caller's place is not known", Place{}, []string{"x zone/a", "y zone/"}, "x y"},
		{"only for the node", here, []string{"x! node/n1", "y! node/n2"}, "x"},
		{"only for other nodes", here, []string{"x! node/n2", "Y! node/n2"}, ""},
		{"only for a node, and the caller's is not known", Place{}, []string{"x! node/n1", "y! node/n2"}, "x y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var es []Endpoint
			for _, s := range tt.endpoints {
				name, near, _ := strings.Cut(s, " ")
				e := Endpoint{Near: near}
				e.Name, e.Only = strings.CutSuffix(name, "!")
				if e.Name != strings.ToLower(e.Name) {
					e.State = Draining
				}
				es = append(es, e)
			}
			var got []string
			for _, e := range Nearest(es, tt.at) {
				got = append(got, e.Name)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

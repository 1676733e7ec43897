package install

import (
	"fmt"
	"io"
	"maps"
	"os"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// Values are what an operator says about an installation, in the form of the
// chart's values.yaml. What is not said is the chart's default.
type Values map[string]any

// ReadValues merges files and then NAME=VALUE settings in the form of helm's
// --set, later ones over earlier ones. The file "-" is in.
func ReadValues(in io.Reader, files, sets []string) (Values, error) {
	all := Values{}
	for _, name := range files {
		data, err := readFile(in, name)
		if err != nil {
			return nil, fmt.Errorf("values: %w", err)
		}
		one := map[string]any{}
		if err := yaml.UnmarshalStrict(data, &one); err != nil {
			return nil, fmt.Errorf("values in %s: %w", name, err)
		}
		all = all.Merge(one)
	}
	for _, s := range sets {
		if err := strvals.ParseInto(s, all); err != nil {
			return nil, fmt.Errorf("--set %s: %w; want NAME=VALUE as in replicas=2", s, err)
		}
	}
	return all, nil
}

func readFile(in io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(name)
}

// Merge gives these values with others laid over them. Maps are merged, and
// everything else is replaced.
func (v Values) Merge(over Values) Values {
	out := maps.Clone(v)
	if out == nil {
		out = Values{}
	}
	for name, value := range over {
		below, isMap := out[name].(map[string]any)
		above, isMapToo := value.(map[string]any)
		if isMap && isMapToo {
			out[name] = map[string]any(Values(below).Merge(above))
			continue
		}
		out[name] = value
	}
	return out
}

// normal gives values as they are after writing and reading them, so that
// numbers of different types compare.
func normal(v Values) map[string]any {
	out := map[string]any{}
	text, err := yaml.Marshal(map[string]any(v))
	if err == nil {
		err = yaml.Unmarshal(text, &out)
	}
	if err != nil {
		return v
	}
	return out
}

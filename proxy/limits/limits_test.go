package limits

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
)

func TestGroupMemory(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nothing there", nil, unlimited},
		{"version 2, own", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.max": "50331648\n",
		}, 48 * mib},
		{"version 2, above", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "33554432\n", "sys/fs/cgroup/a/b/memory.max": "50331648\n",
		}, 32 * mib},
		{"version 2, in a container", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "50331648\n",
		}, 48 * mib},
		{"version 1, own", map[string]string{
			"proc/self/cgroup":                               "9:cpu:/x\n4:memory:/a/b\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "50331648\n",
		}, 48 * mib},
		{"version 1, in a container that sees the host's path", map[string]string{
			"proc/self/cgroup":                           "4:memory:/docker/123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "50331648\n",
		}, 48 * mib},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, unlimited},
		{"damaged", map[string]string{"proc/self/cgroup": "0:\nx\n0::../..\n", "sys/fs/cgroup/memory.max": "-1\n"}, unlimited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := groupMemory(root); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// What the parts may take together fits into the heap that there is.
func TestPartsFit(t *testing.T) {
	for _, memory := range []int64{32 << 20, 48 << 20, 256 << 20, 4 << 30} {
		l := OfMemory(memory)
		sum := int64(2*l.Connections)*connCost + int64(l.Streams)*streamCost + int64(l.LinkBuffers+l.WideBuffers) + baseMemory
		if sum > l.Heap || l.Heap >= l.Memory {
			t.Errorf("at %d MiB: %d bytes in parts, heap %d", memory>>20, sum, l.Heap)
		}
		if kernel := int64(l.Connections) * int64(l.Unsent); kernel > l.Memory-l.Heap {
			t.Errorf("at %d MiB: %d bytes wait in the kernel, and %d are left", memory>>20, kernel, l.Memory-l.Heap)
		}
	}
}

func TestSet(t *testing.T) {
	l, err := For(64<<20, map[string]int{"connections": 100, "resets": 7})
	if err != nil || l.Connections != 100 || l.Resets != 7 || l.From != "option" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []map[string]int{{"connections": 0}, {"head-bytes": 1 << 20}, {"nothing": 1}} {
		if _, err := For(64<<20, bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	for _, bad := range []string{"", "resets", "resets=", "resets=x", "=1=2", "resets=0", "nothing=1"} {
		if name, n, err := Parse(bad); err == nil {
			t.Errorf("%q gives %q %d", bad, name, n)
		}
	}
	if name, n, err := Parse("resets=12"); name != "resets" || n != 12 || err != nil {
		t.Errorf("%q %d %v", name, n, err)
	}
}

// TestFollows has numbers follow from others unless they are set themselves, and
// all of them reach those who obey them.
func TestFollows(t *testing.T) {
	for _, tt := range []struct {
		set                    map[string]int
		block, bytes, trailers int
	}{
		{nil, 128 << 10, 16 << 10, 64},
		{map[string]int{"head-bytes": 2048, "head-fields": 10}, 4096, 512, 5},
		{map[string]int{"head-bytes": 1024, "head-fields": 8}, 2048, 256, 4},
		{map[string]int{"head-bytes": 2048, "block-bytes": 7, "trailer-bytes": 3000, "trailer-fields": 9}, 7, 3000, 9},
	} {
		l, err := For(64<<20, tt.set)
		if err != nil || l.BlockBytes != tt.block || l.TrailerBytes != tt.bytes || l.Trailers != tt.trailers {
			t.Errorf("%v: %d, %d, %d, %v", tt.set, l.BlockBytes, l.TrailerBytes, l.Trailers, err)
		}
	}
	l, _ := For(64<<20, map[string]int{"chunk-line-bytes": 70, "trailer-bytes": 300, "trailer-fields": 5, "interim-answers": 6, "held-block-bytes": 77})
	if h := l.HTTP1(); h.ChunkLine != 70 || h.TrailerBytes != 300 || h.Trailers != 5 || h.Interim != 6 {
		t.Errorf("%+v", h)
	}
	if f := l.Link().Frames; f.Heads != 7 || f.HeldBlock != 77 {
		t.Errorf("%+v", f)
	}
}

// What can be set here and what can be written elsewhere are the same.
func TestSettable(t *testing.T) {
	var got []mesh.ProxyLimit
	for _, row := range Table() {
		if row.Settable() {
			got = append(got, mesh.ProxyLimit{Name: row.Name, Least: row.Least, Most: row.Most})
		}
	}
	if want := mesh.ProxyLimits(); !slices.Equal(got, want) {
		t.Errorf("mesh.ProxyLimits lists\n%v\nand the table\n%v", want, got)
	}
}

// Each number of seconds is one of what a proxy waits for, and without options
// all are those that a proxy has by itself.
func TestTimes(t *testing.T) {
	plain := OfMemory(64 << 20)
	if got, want := plain.Times(), (proxy.Times{}).WithDefaults(); got != want {
		t.Errorf("without options %+v, want %+v", got, want)
	}
	timed := 0
	for _, row := range Table() {
		if !strings.HasSuffix(row.Name, "-seconds") || row.Name == "stall-seconds" { // that one is for proxy/mux
			continue
		}
		timed++
		l, err := For(64<<20, map[string]int{row.Name: 17})
		if err != nil {
			t.Fatal(err)
		}
		was, is := reflect.ValueOf(plain.Times()), reflect.ValueOf(l.Times())
		var changed []string
		for i := range is.NumField() {
			if is.Field(i).Int() != was.Field(i).Int() {
				changed = append(changed, is.Type().Field(i).Name)
			}
		}
		if len(changed) != 1 || is.FieldByName(changed[0]).Int() != int64(17*time.Second) {
			t.Errorf("%s changes %v", row.Name, changed)
		}
	}
	if n := reflect.TypeFor[proxy.Times]().NumField(); n != timed {
		t.Errorf("%d numbers of seconds can be set, and a proxy has %d", timed, n)
	}
}

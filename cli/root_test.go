package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachineSocket compares where commands look with where the unit's server
// listens.
func TestMachineSocket(t *testing.T) {
	unit, err := os.ReadFile("../docs/operate/leno-server.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(unit), "\n")
	var folder, socket string
	for _, l := range lines {
		if name, ok := strings.CutPrefix(l, "RuntimeDirectory="); ok {
			folder = filepath.Join("/run", name)
		}
		if _, path, ok := strings.Cut(l, "--socket "); ok && strings.HasPrefix(l, "ExecStart=") {
			socket, _, _ = strings.Cut(path, " ")
		}
	}
	if got := strings.ReplaceAll(socket, "${RUNTIME_DIRECTORY}", folder); got != machineSocket {
		t.Errorf("the unit's server listens at %q, commands look at %q", got, machineSocket)
	}
}

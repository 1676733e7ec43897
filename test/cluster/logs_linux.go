package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// shownLines are the last lines of each log that are shown at once.
const shownLines = 5

// keepLogs saves the logs of a cluster that did not come up. The error says
// where they are and how they end.
func keepLogs(s state) error {
	kept, err := os.MkdirTemp("", "leno-cluster-logs-")
	if err != nil {
		return err
	}
	if err := os.CopyFS(kept, os.DirFS(filepath.Join(dirOf(s.Name), "logs"))); err != nil {
		return err
	}
	var said strings.Builder
	fmt.Fprintf(&said, "the logs are kept in %s and end so:", kept)
	entries, err := os.ReadDir(kept)
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(kept, e.Name()))
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		fmt.Fprintf(&said, "\n--- %s\n%s", e.Name(), strings.Join(lines[max(0, len(lines)-shownLines):], "\n"))
	}
	return errors.New(said.String())
}

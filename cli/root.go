// Package cli is the command line: one file for each command. Commands are
// built by functions from what they need, so that tests run them as a user
// types them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is what every command is built from.
type app struct {
	Streams
	version string
	socket  string
	cluster clusterFlags
}

// ExitError ends the program with a code of its own. With no text, what there
// was to say has been said.
type ExitError struct {
	Code int
	Text string
}

// Error gives the text.
func (e *ExitError) Error() string { return e.Text }

// Main runs one command and gives the exit code: 0 is success, 1 a failure, 2
// a wrong command line. An error is one line with the next step.
func Main(ctx context.Context, s Streams, version string, args []string) int {
	cmd := newRootCmd(&app{Streams: s, version: version})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := 1
	var exit *ExitError
	if errors.As(err, &exit) {
		code = exit.Code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(s.Err, "leno:", printableText(text))
	}
	return code
}

// noCommand is the answer to a word that is no command.
func noCommand(root *cobra.Command, word string) error {
	next := "see leno --help"
	if near := root.SuggestionsFor(word); len(near) > 0 {
		next = "is it leno " + strings.Join(near, " or leno ") + "?"
	}
	return &ExitError{Code: 2, Text: fmt.Sprintf("there is no command %q; %s", word, next)}
}

func newRootCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "leno",
		Short:         "Leno is a service mesh: mutual TLS, metrics and routing between services",
		SilenceErrors: true, SilenceUsage: true,
		DisableFlagsInUseLine: true, SuggestionsMinimumDistance: 2,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return noCommand(cmd, args[0])
		},
	}
	cmd.SetIn(a.In)
	cmd.SetOut(a.Out)
	cmd.SetErr(a.Err)
	cmd.PersistentFlags().StringVar(&a.socket, "socket", "", "the control plane's socket, for one on this machine (default $LENO_SOCKET, or that of this user's server)")
	a.cluster.add(cmd)
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &ExitError{Code: 2, Text: fmt.Sprintf("%v; see %s --help", err, c.CommandPath())}
	})
	cmd.AddCommand(
		newServerCmd(a), newTokenCmd(a), newRunCmd(a), newStopCmd(a), newRevokeCmd(a), newDemoCmd(a), newDemoAppCmd(a),
		newStatCmd(a), newEdgesCmd(a), newProxiesCmd(a), newEndpointsCmd(a), newIdentityCmd(a), newCheckCmd(a),
		newInstallCmd(a), newUpgradeCmd(a), newUninstallCmd(a), newInjectCmd(a), newUninjectCmd(a), newVersionCmd(a),
	)
	return cmd
}

func (a *app) socketPath() string {
	if a.socket != "" {
		return a.socket
	}
	if s := os.Getenv("LENO_SOCKET"); s != "" {
		return s
	}
	if _, err := os.Stat(ownSocket()); err != nil {
		if _, err := os.Stat(machineSocket); err == nil {
			return machineSocket
		}
	}
	return ownSocket()
}

// machineSocket is that of the control plane that systemd runs; see
// docs/operate/systemd.md. Only root can open it.
const machineSocket = "/run/leno/leno.sock"

// ownSocket is that of this user's own control plane.
func ownSocket() string { return filepath.Join(runtimeDir(), "leno.sock") }

// runtimeDir is where this user's own control plane has its socket and lock.
func runtimeDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "leno")
	}
	if d, err := os.UserCacheDir(); err == nil {
		return filepath.Join(d, "leno", "run")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("leno-%d", os.Getuid()))
}

// stateDir is where this user's own control plane keeps its data.
func stateDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "leno"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory for the control plane's data: %w; set XDG_STATE_HOME", err)
	}
	return filepath.Join(home, ".local", "state", "leno"), nil
}

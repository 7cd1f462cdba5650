// Package cli is the command line: one file per command. It talks to a server
// through its client and prints; what is printed as data goes to standard
// output, everything else to standard error. It knows nothing of the store or
// the engine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

// Run carries out a command line and returns the exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	s := &session{in: in, out: out, err: errOut, env: config.ProcessEnv(nil)}
	root := s.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if err == nil {
		return 0
	}
	s.fail(err)
	return codeOf(err)
}

// fail prints an error and the next command to type.
func (s *session) fail(err error) {
	prefix := "shiplock: "
	if _, ok := errors.AsType[config.Errors](err); ok {
		prefix = "" // it begins with file, line and column
	}
	fmt.Fprintln(s.err, prefix+mask.Terminal(err.Error()))
	if hint := ship.HintOf(err); hint != "" {
		fmt.Fprintln(s.err, "Next: "+mask.Terminal(hint))
	}
}

// exitCode ends the program with a code when everything has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// errAborted ends the program when its run was aborted: a failure before the
// swap, to everybody but the one who aborted it. 130 says that the program was
// interrupted and the run goes on.
var errAborted = fmt.Errorf("aborted: %w", exitCode(3))

// usage is an error of the command line itself.
type usage struct{ error }

func codeOf(err error) int {
	if _, ok := errors.AsType[usage](err); ok {
		return 2
	}
	if errors.Is(err, context.Canceled) {
		return 130
	}
	if list, ok := errors.AsType[config.Errors](err); ok && len(list) > 0 {
		return 2
	}
	return codes[ship.KindOf(err)]
}

// codes maps kinds of failure to exit codes. Other programs depend on it.
var codes = map[ship.Kind]int{
	"":                   0,
	ship.Internal:        1,
	ship.Invalid:         2,
	ship.NotFound:        2,
	ship.Failed:          3,
	ship.Refused:         3,
	ship.RolledBack:      4,
	ship.GateFailed:      5,
	ship.Rejected:        6,
	ship.Inconclusive:    7,
	ship.Locked:          8,
	ship.Fenced:          8,
	ship.Unreachable:     9,
	ship.MigrationFailed: 10,
	ship.Interrupted:     130,
}

// linked is the version that the linker was told, for builds that are not of a
// module or a working tree: -ldflags "-X …/internal/cli.linked=v1.2.3".
var linked string //nolint:gochecknoglobals // the linker writes it

// version is what the linker was told, else that of the module or of the
// working tree.
func version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// root returns the command tree, a line per command.
func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use: "shiplock", Short: "Ship code and database schema together",
		Long: "shiplock takes one immutable release from development to production, migrates the database in\n" +
			"phases that the old and the new code can both live with, moves traffic without losing a request,\n" +
			"watches, and takes back code and schema when the evidence says so.",
		SilenceUsage: true, SilenceErrors: true, SuggestionsMinimumDistance: 2,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			if s.output != "text" && s.output != "json" {
				return usage{fmt.Errorf("unknown output format %q, known are text and json", s.output)}
			}
			s.data, err = s.env.DataDirectory(s.data)
			return err
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return usage{fmt.Errorf("no command given; try %s --help", c.Name())}
		},
	}
	f := root.PersistentFlags()
	f.StringVarP(&s.file, "file", "f", "shiplock.yaml", "configuration `file`")
	f.StringVar(&s.server, "server", "", "`address` of the server: ssh://user@host or the path of its socket")
	f.StringVar(&s.data, "data", "", "`folder` of the server's and node's data")
	f.StringVarP(&s.output, "output", "o", "text", "output `format`: text or json")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "print no progress")
	f.BoolVar(&s.noColor, "no-color", s.env.NoColor, "print no colours")
	root.Args = unknownCommand
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())} })
	root.AddCommand(
		s.initCommand(), s.doctorCommand(), s.configCommand(),
		s.upCommand(), s.deployCommand(), s.promoteCommand(), s.planCommand(), s.rollbackCommand(),
		s.lockCommand(), s.unlockCommand(),
		s.statusCommand(), s.watchCommand(), s.logsCommand(), s.explainCommand(), s.historyCommand(), s.auditCommand(),
		s.releaseCommand(), s.releasesCommand(),
		s.lintCommand(), s.rehearseCommand(), s.schemaCommand(), s.migrateCommand(), s.maintenanceCommand(), s.backupCommand(), s.restoreCommand(),
		s.resumeCommand(), s.abortCommand(),
		s.startCommand(), s.nodeCommand(), s.installCommand(), s.connectCommand(), s.receiveCommand(),
		s.demoCommand(), s.demoShopCommand(), s.versionCommand(),
	)
	strictArgs(root)
	return root
}

// strictArgs makes an error of the arguments one of usage, everywhere.
func strictArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}

// unknownCommand refuses what is no command, with those that may be meant.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

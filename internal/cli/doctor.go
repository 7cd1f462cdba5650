package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// The states of a finding.
const (
	fine = "ok"   // nothing to do
	warn = "warn" // a deployment works, something will not
	fail = "fail" // a deployment cannot go well
)

// A finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"` // the next command, or what to change
}

// findings collects what checks find.
type findings []finding

func (f *findings) add(check, state, next, format string, args ...any) {
	*f = append(*f, finding{check, state, fmt.Sprintf(format, args...), next})
}

// failed adds what an error says, and its hint.
func (f *findings) failed(check string, err error) {
	f.add(check, fail, ship.HintOf(err), "%v", err)
}

// checkTimeout bounds one check. What does not answer by then does not answer.
const checkTimeout = 15 * time.Second

func (s *session) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor [environment]", Short: "Check whether a deployment could go well here, and say what to do where it could not", Args: cobra.MaximumNArgs(1),
		Long: "Check the configuration, the secrets, the data folder, server and node, and of one environment, or of\n" +
			"all of them, the addresses, certificates, database, backups and interpreter. Nothing is changed. The\n" +
			"exit code is 3 when a deployment could not go well, else 0.",
		Example:           "  shiplock doctor\n  shiplock doctor production -o json",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			d := &doctor{session: s}
			d.examine(c.Context(), args)
			if err := c.Context().Err(); err != nil {
				return err
			}
			if err := s.print(d.all, func(w io.Writer) { d.show(w) }); err != nil {
				return err
			}
			for _, f := range d.all {
				if f.State == fail {
					return exitCode(codes[ship.Failed])
				}
			}
			return nil
		},
	}
}

// A doctor goes through the checks. What it knows of the server is "" and nil
// when none answers.
type doctor struct {
	*session
	all findings

	file    *config.File
	remote  bool // the server is on another machine
	answers bool // the server does
	status  []wire.EnvironmentStatus
	known   []ship.Environment // settings of what the server deploys
	nodePID int                // 0 when no node answers
}

// A check looks at an environment.
type check struct {
	name  string
	local bool // it only says something on the server's machine
	look  func(*doctor, context.Context, ship.Environment) findings
}

// checks returns those of an environment, in the order a deployment would
// meet what they look at.
func checks() []check {
	return []check{
		{"secrets", true, (*doctor).secrets},
		{"user", true, (*doctor).user},
		{"python", true, (*doctor).python},
		{"listen", true, (*doctor).listen},
		{"tls", true, (*doctor).certificate},
		{"database", true, (*doctor).database},
		{"backup", true, (*doctor).backups},
	}
}

func (d *doctor) examine(ctx context.Context, args []string) {
	envs := d.configuration(args)
	d.clock()
	d.askServer(ctx)
	if !d.remote {
		d.dataFolder()
		d.node(ctx)
	}
	for _, env := range envs {
		for _, c := range checks() {
			name := c.name
			if len(envs) > 1 {
				name += " " + env.ID.Name
			}
			if c.local && d.remote {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			found := c.look(d, ctx, env)
			cancel()
			for _, f := range found {
				f.Check = strings.Replace(f.Check, c.name, name, 1)
				d.all = append(d.all, f)
			}
		}
	}
	if d.remote && len(envs) > 0 {
		d.all.add("machine", warn, "shiplock doctor on that machine", "the server is on another machine: secrets, addresses, database and backups were not looked at")
	}
}

// configuration reads the file and returns the environments to look at.
func (d *doctor) configuration(args []string) []ship.Environment {
	f, err := d.load()
	if err != nil {
		next := ship.HintOf(err)
		if list, ok := errors.AsType[config.Errors](err); ok {
			err = fmt.Errorf("%s:%d:%d: %s", list[0].File, list[0].Line, list[0].Column, list[0].Message)
			next = "shiplock config check"
		}
		d.all.add("configuration", fail, next, "%v", err)
		return nil
	}
	d.file = f
	names := f.Environments()
	if len(args) > 0 {
		names = args
	}
	var envs []ship.Environment
	for _, name := range names {
		env, err := f.Environment(name)
		if err != nil {
			d.all.failed("configuration", err)
			return nil
		}
		envs = append(envs, env)
	}
	d.all.add("configuration", fine, "", "%s describes %s with %s", f.Path, f.App, strings.Join(f.Environments(), ", "))
	for _, gate := range f.IdleGates() {
		d.all.add("gates", warn, "list it under gates of an environment", "gate %s is never run", gate)
	}
	return envs
}

// askServer asks the server who it is and what it deploys.
func (d *doctor) askServer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	configured := ""
	if d.file != nil {
		configured = d.file.Server
	}
	err := d.with(ctx, configured, func(ctx context.Context, c *client.Client) error {
		d.remote = strings.HasPrefix(c.Name(), "ssh://")
		v, err := c.Version(ctx)
		if err != nil {
			return err
		}
		d.answers = true
		if v.Version != version() {
			d.all.add("server", warn, "shiplock up, with the program you deploy with", "the server is %s, this program is %s", v.Version, version())
		} else {
			d.all.add("server", fine, "", "shiplock %s, pid %d, at %s", v.Version, v.PID, c.Name())
		}
		if d.known, err = c.Environments(ctx, ""); err != nil {
			return err
		}
		d.status, err = c.Status(ctx, "", "")
		return err
	})
	if err != nil {
		d.all.failed("server", err)
	}
	for _, st := range d.status {
		if st.State == "unreachable" && d.file != nil && st.ID.App == d.file.App {
			d.all.add("node", fail, "shiplock up", "%s cannot be reached: %s", st.ID, st.Note)
		}
	}
}

// show prints the findings for a person.
func (d *doctor) show(w io.Writer) {
	marks := map[string]string{fine: "✓", warn: "!", fail: "✗"}
	colors := map[string]string{fine: ship.EventDone, warn: ship.EventNote, fail: ship.EventFailed}
	count := map[string]int{}
	width := 16
	for _, f := range d.all {
		width = max(width, utf8.RuneCountInString(f.Check))
	}
	for _, f := range d.all {
		count[f.State]++
		mark := marks[f.State]
		if d.terminal(w) {
			mark = d.color(colors[f.State], mark)
		}
		fmt.Fprintf(w, " %s %-*s %s\n", mark, width, f.Check, mask.Terminal(f.Detail))
		if f.Next != "" && f.State != fine {
			fmt.Fprintf(w, "   %-*s → %s\n", width, "", mask.Terminal(f.Next))
		}
	}
	fmt.Fprintf(w, "\n%d in order, %d to look at, %d in the way of a deployment\n", count[fine], count[warn], count[fail])
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) startCommand() *cobra.Command {
	var process string
	var wait time.Duration
	var doMigrate, only bool
	c := &cobra.Command{
		Use: "start [environment]", Short: "Start a release where no run starts it: in a container, or in a hosted slot", Args: cobra.MaximumNArgs(1),
		Long: "Wait for the database, make sure that release and database fit, set up, and become the server: the\nprocess is replaced by the command of the configuration, so that signals reach it. A database that\nis ahead by changes this release can live with is fine; any other is refused, naming both sides.",
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			e, err := s.newEntry(file, env)
			if err != nil {
				return err
			}
			in := deploy.Entry{Request: ship.Request{Verb: "start", Environment: env, Release: ship.Release{App: file.App}, By: s.who()},
				Dir: file.Dir, Runner: e, Migrate: doMigrate || only, Wait: wait}
			if err := app.Enter(c.Context(), s.entryOptions(), in); err != nil || only {
				return err
			}
			return e.become(c.Context(), env, process)
		},
	}
	f := c.Flags()
	f.StringVar(&process, "process", ship.Web, "`process` to become")
	f.DurationVar(&wait, "wait", 2*time.Minute, "for the database, and for a replica that migrates")
	f.BoolVar(&doMigrate, "migrate", false, "apply pending migrations under the fenced lock first")
	f.BoolVar(&only, "migrate-only", false, "apply pending migrations and end")
	return c
}

func (s *session) entryOptions() app.Options {
	return app.Options{Dir: s.data, Version: version(), Lookup: config.Lookup, Log: s.logger()}
}

// entry runs a release's commands in its folder.
type entry struct {
	dir  string
	vars map[string]string
	out  *session
}

// newEntry resolves the environment the release's processes get: ours, and
// what the configuration sets over it.
func (s *session) newEntry(file *config.File, env ship.Environment) (*entry, error) {
	r, err := config.NewResolver(env.SecretsFile, config.Lookup)
	if err != nil {
		return nil, err
	}
	e := &entry{dir: file.Dir, vars: map[string]string{}, out: s}
	for _, kv := range config.Inherited() {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.vars[k] = v
		}
	}
	set := map[string]ship.Value{}
	if env.Database != nil {
		set["DATABASE_URL"] = env.Database.URL
	}
	for k, v := range env.Vars {
		set[k] = v
	}
	for k, v := range set {
		secret, err := r.Resolve(v)
		if err != nil {
			return nil, err
		}
		e.vars[k] = secret.Reveal()
	}
	return e, nil
}

func (e *entry) environ(more map[string]string) []string {
	var out []string
	for k, v := range e.vars {
		if _, replaced := more[k]; !replaced {
			out = append(out, k+"="+v)
		}
	}
	for k, v := range more {
		out = append(out, k+"="+v)
	}
	return out
}

func (e *entry) expand(a ship.Argv, more map[string]string) ([]string, error) {
	return argv.Expand(a, func(name string) (string, bool) {
		if v, ok := more[name]; ok {
			return v, true
		}
		v, ok := e.vars[name]
		return v, ok
	})
}

// Run implements [migrate.Runner].
func (e *entry) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	words, err := e.expand(c.Argv, c.Vars)
	if err != nil {
		return migrate.Result{}, err
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, e.look(words[0]), words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = e.dir, e.environ(c.Vars), bytes.NewReader(c.Stdin), &out, &errOut
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	r := migrate.Result{Stdout: out.Bytes(), Stderr: errOut.Bytes()}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		r.Code, err = exit.ExitCode(), nil
	}
	return r, err
}

// look finds a program on the release's own PATH.
func (e *entry) look(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(e.vars["PATH"]) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return name
}

// become sets up and replaces this process by the server.
func (e *entry) become(ctx context.Context, env ship.Environment, process string) error {
	p, ok := env.Run.Processes[process]
	if !ok {
		return ship.Errorf(ship.Invalid, "shiplock config show", "there is no process %q", process)
	}
	for _, setup := range env.Run.Setup {
		r, err := e.Run(ctx, migrate.Command{Argv: setup})
		if err != nil {
			return fmt.Errorf("set up with %v: %w", setup, err)
		}
		if r.Code != 0 {
			return ship.Errorf(ship.Failed, "run it by hand", "set up with %v: exit code %d: %s", setup, r.Code, bytes.TrimSpace(r.Stderr))
		}
	}
	words, err := e.expand(p.Command, nil)
	if err != nil {
		return err
	}
	if err := os.Chdir(e.dir); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := syscall.Exec(e.look(words[0]), words, e.environ(nil)); err != nil {
		return ship.Errorf(ship.Failed, "shiplock config show", "start %s: %w", words[0], err)
	}
	return nil
}

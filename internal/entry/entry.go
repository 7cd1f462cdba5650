// Package entry runs a release's commands in this very process's place: where
// a container or a hosted slot starts it and no node does. It knows how to run
// and how to become a command. It refuses to know what has to be done before.
package entry

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

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// An Entry runs commands in a release's folder with its environment.
type Entry struct {
	dir  string
	vars map[string]string
}

// New returns an entry of the release in dir. Its commands get the inherited
// environment, "NAME=VALUE" each, and vars over it.
func New(dir string, inherited []string, vars map[string]ship.Secret) *Entry {
	e := &Entry{dir: dir, vars: map[string]string{}}
	for _, kv := range inherited {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.vars[k] = v
		}
	}
	for k, v := range vars {
		e.vars[k] = v.Reveal()
	}
	return e
}

func (e *Entry) environ(more map[string]string) []string {
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

func (e *Entry) expand(a ship.Argv, more map[string]string) ([]string, error) {
	return argv.Expand(a, func(name string) (string, bool) {
		if v, ok := more[name]; ok {
			return v, true
		}
		v, ok := e.vars[name]
		return v, ok
	})
}

// Run implements [migrate.Runner]: every command is run anew, and ends with ctx.
func (e *Entry) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
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
func (e *Entry) look(name string) string {
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

// Each runs commands in order, until one fails; what says what they are for.
func (e *Entry) Each(ctx context.Context, what string, commands []ship.Argv) error {
	for _, a := range commands {
		r, err := e.Run(ctx, migrate.Command{Argv: a})
		if err != nil {
			return fmt.Errorf("%s with %v: %w", what, a, err)
		}
		if r.Code != 0 {
			return ship.Errorf(ship.Failed, "run it by hand", "%s with %v: exit code %d: %s", what, a, r.Code, bytes.TrimSpace(r.Stderr))
		}
	}
	return nil
}

// Become replaces this process by the command. It only returns when it fails.
func (e *Entry) Become(a ship.Argv) error {
	words, err := e.expand(a, nil)
	if err != nil {
		return err
	}
	if err := os.Chdir(e.dir); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	err = syscall.Exec(e.look(words[0]), words, e.environ(nil))
	return ship.Errorf(ship.Failed, "shiplock config show", "start %s: %w", words[0], err)
}

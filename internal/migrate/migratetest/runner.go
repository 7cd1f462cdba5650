package migratetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/shiplock/shiplock/internal/migrate"
)

// A Runner runs commands as processes of this machine. Names do not matter to
// it: every command is run.
type Runner struct {
	Dir string
	Env map[string]string // besides the test's own environment
}

var _ migrate.Runner = (*Runner)(nil)

// Run implements [migrate.Runner].
func (r *Runner) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	maps.Copy(env, r.Env)
	maps.Copy(env, c.Vars)
	argv := make([]string, len(c.Argv))
	for i, word := range c.Argv {
		argv[i] = os.Expand(word, func(name string) string { return env[name] })
	}
	if len(argv) == 0 {
		return migrate.Result{}, errors.New("a command without words")
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = r.Dir
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &out, &errs
	err := cmd.Run()
	result := migrate.Result{Stdout: out.Bytes(), Stderr: errs.Bytes()}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		result.Code = cmd.ProcessState.ExitCode()
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("run %s: %w", argv[0], err)
	}
	return result, nil
}

// once runs each named command once, as a platform does within a run.
type once struct {
	runner migrate.Runner

	mu   sync.Mutex
	done map[string]migrate.Result
}

func (o *once) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	if c.Name == "" {
		return o.runner.Run(ctx, c)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if result, ok := o.done[c.Name]; ok {
		return result, nil
	}
	result, err := o.runner.Run(ctx, c)
	if err == nil {
		if o.done == nil {
			o.done = map[string]migrate.Result{}
		}
		o.done[c.Name] = result
	}
	return result, err
}

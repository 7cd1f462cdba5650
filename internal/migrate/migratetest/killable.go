package migratetest

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/shiplock/shiplock/internal/migrate"
)

var _ migrate.Runner = (*Killable)(nil)

// Killable carries out commands in a release's folder. A named one is carried
// out once and can be killed from outside.
type Killable struct {
	dir  string
	vars []string

	mu     sync.Mutex
	named  map[string]migrate.Result
	killed bool // the named command under way was killed, and who asked for it died too
	pgid   int  // of the named command under way
}

// Run implements [migrate.Runner].
func (r *Killable) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	r.mu.Lock()
	res, seen := r.named[c.Name]
	dead, vars := r.killed, slices.Clone(r.vars)
	r.mu.Unlock()
	if dead {
		return res, errors.New("nobody is there any more")
	}
	if c.Name != "" && seen {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	program := c.Argv[0]
	for _, v := range vars {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			program = filepath.Join(strings.Split(list, ":")[0], c.Argv[0])
		}
	}
	cmd := exec.CommandContext(ctx, program, c.Argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.dir, append(vars, pairs(c.Vars)...), bytes.NewReader(c.Stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return migrate.Result{}, err
	}
	if c.Name != "" {
		r.mu.Lock()
		r.pgid = cmd.Process.Pid
		r.mu.Unlock()
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return migrate.Result{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	res = migrate.Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Unknown: c.Name != "" && r.killed}
	if c.Name != "" {
		r.pgid = 0
		if r.named == nil {
			r.named = map[string]migrate.Result{}
		}
		r.named[c.Name] = res
		if r.killed {
			return res, errors.New("nobody is there any more")
		}
	}
	return res, nil
}

// Kill ends the named command under way, with all its children, and the caller.
func (r *Killable) Kill(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.pgid == 0 {
		t.Fatal("nothing to kill: the command has ended")
	}
	if err := syscall.Kill(-r.pgid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Resume lets the next caller go on, who has more variables.
func (r *Killable) Resume(vars ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed, r.vars = false, append(r.vars, vars...)
}

// Forget lets named commands be carried out anew, as the next run's are.
func (r *Killable) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named, r.killed = nil, false
}

func pairs(vars map[string]string) (all []string) {
	for k, v := range vars {
		all = append(all, k+"="+v)
	}
	return all
}

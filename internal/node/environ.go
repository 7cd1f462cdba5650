package node

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// environ is the environment every command of the release has. Later ones win:
// the node's own, the settings', and what a release may rely on.
func (e *environment) environ(s platform.Spec, slot ship.Slot, venv string) environ {
	env := newEnviron(e.n.BaseEnv)
	if user := s.Environment.Run.User; user != "" {
		env["USER"], env["LOGNAME"], env["HOME"] = user, user, home(user)
	}
	for k, v := range s.Vars {
		env[k] = v.Reveal()
	}
	if venv != "" {
		env["VIRTUAL_ENV"] = venv
		env.first(filepath.Join(venv, "bin"))
	}
	env["SHIPLOCK_APP"] = e.id.App
	env["SHIPLOCK_ENVIRONMENT"] = e.id.Name
	env["SHIPLOCK_RELEASE"] = strconv.Itoa(s.Release.Number)
	env["SHIPLOCK_BINARY"] = e.n.Binary
	if slot != "" {
		env["SHIPLOCK_SLOT"] = string(slot)
	}
	return env
}

// run carries out platform.Platform's Run.
func (e *environment) run(ctx context.Context, spec platform.Spec, c platform.Command) (platform.Result, error) {
	digest := spec.Release.Artifact.Digest
	sealed, err := e.readSeal(digest)
	if err != nil {
		return platform.Result{}, err
	}
	if sealed == nil {
		return platform.Result{}, ship.Errorf(ship.Failed, "prepare it first", "release %s is not prepared for %s", short(digest), e.id)
	}
	env := e.environ(spec, "", sealed.Venv)
	for k, v := range c.Vars {
		env[k] = v.Reveal()
	}
	t, err := newTask(c.Argv, e.releaseDir(digest), spec.Environment.Run.User, env)
	if err != nil {
		return platform.Result{}, err
	}
	if c.Name == "" {
		t.Env[instanceMark] = e.n.mark(e.id, "", "query") // a node that is started after a kill ends it
		return query(ctx, t, bytes.NewReader(c.Stdin), c.Timeout)
	}
	if !jobName.MatchString(c.Name) {
		return platform.Result{}, ship.Errorf(ship.Invalid, "use letters, digits, '-', '_' and '.'", "%q cannot name a command", c.Name)
	}
	if c.Fence == nil || !jobName.MatchString(c.Fence.Run) {
		return platform.Result{}, ship.Errorf(ship.Invalid, "", "command %s has a name and needs the fence of its run", c.Name)
	}
	job := jobOf(e.runs(c.Fence.Run), c.Name)
	if err := e.startFenced(job, jobSpec{Task: t, Name: c.Name, Timeout: c.Timeout}, c); err != nil {
		return platform.Result{}, err
	}
	return job.wait(ctx)
}

// startFenced starts a named command unless a newer epoch was granted, and
// lets none be granted in between.
func (e *environment) startFenced(j job, spec jobSpec, c platform.Command) error {
	e.granting.RLock()
	defer e.granting.RUnlock()
	if err := e.n.check(e.id, *c.Fence); err != nil {
		return err
	}
	return e.n.startJob(j, spec, c.Stdin)
}

package cli

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// onBranch refuses a release whose commit is not on the environment's branch.
// Only an environment that others are promoted to is held to it: one with a
// branch alone takes what is pushed, from whatever folder. A release without
// a commit cannot be checked and is refused too.
func onBranch(ctx context.Context, dir string, env ship.Environment, a ship.Artifact) error {
	if env.Branch == "" || env.After == "" {
		return nil
	}
	if strings.HasPrefix(env.Branch, "-") {
		return ship.Errorf(ship.Invalid, "give the name of a branch", "branch %q begins with a dash", env.Branch)
	}
	switch {
	case a.Commit == "":
		return ship.Errorf(ship.Refused, "deploy from a clone of the repository", "%s takes commits of branch %s, and this release comes from a folder without one", env.ID.Name, env.Branch)
	case a.Dirty:
		return ship.Errorf(ship.Refused, "git status", "%s takes commits of branch %s, and this release has changes that are not committed", env.ID.Name, env.Branch)
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "merge-base", "--is-ancestor", a.Commit, "refs/heads/"+env.Branch)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return ship.Errorf(ship.Refused, "git checkout "+env.Branch+" && git merge "+a.Commit[:min(7, len(a.Commit))],
			"commit %.7s is not on branch %s, which %s takes its releases from", a.Commit, env.Branch, env.ID.Name)
	}
	if err != nil {
		return ship.Errorf(ship.Failed, "git fetch", "ask git whether commit %.7s is on branch %s: %w: %s", a.Commit, env.Branch, err, strings.TrimSpace(string(out)))
	}
	return nil
}

package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const gitTimeout = time.Minute

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// commitOf finds the commit a tree was checked out from and whether a file
// that would be packed differs from it. A tree that is not in a repository,
// or a machine without git, has no commit, which is no error. A repository
// that git refuses to read is one: a release that silently lacks its commit
// could not be promoted later.
func commitOf(ctx context.Context, dir string, ex *exclusion) (commit string, dirty bool, err error) {
	if !inRepository(dir) {
		return "", false, nil
	}
	if _, err := exec.LookPath("git"); err != nil {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	head, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return "", false, nil // a repository without a commit
	}
	if err != nil {
		return "", false, err
	}
	if commit = strings.TrimSpace(head); !commitForm.MatchString(commit) {
		return "", false, fmt.Errorf("git says the commit is %q", commit)
	}
	prefix, err := git(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", false, err
	}
	status, err := git(ctx, dir, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", ".")
	if err != nil {
		return "", false, err
	}
	return commit, differs(status, strings.TrimRight(prefix, "\n"), ex), nil
}

func inRepository(dir string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

// differs tells whether one of the changed files counts. Lines are two
// letters, a space and a path from the top of the repository.
func differs(status, prefix string, ex *exclusion) bool {
	for line := range strings.SplitSeq(status, "\x00") {
		if len(line) > 3 && !ex.excludes(strings.TrimSuffix(strings.TrimPrefix(line[3:], prefix), "/")) {
			return true
		}
	}
	return false
}

// git runs a command that reads. The options keep it from starting a program
// that the repository's own configuration names, and from writing.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	argv := append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-C", dir}, args...)
	cmd := exec.CommandContext(ctx, "git", argv...)
	cmd.WaitDelay = time.Second
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(problem.String()), "\n")
		return "", ship.Errorf(ship.Invalid, "git -C "+dir+" status", "find the commit of %s: %w: %s", dir, err, said)
	}
	return out.String(), nil
}

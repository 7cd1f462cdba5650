package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	hookName    = "hooks/post-receive"
	maxUpdates  = 20      // branches of one push that are looked at
	maxPushLine = 4 << 10 // bytes
)

// hookText is what git starts after a push. Git describes the repository in
// variables, which would turn every other git we start to it.
const hookText = `#!/bin/sh
# Deploys what is pushed to the branch of an environment. Written by shiplock init --push-to.
unset $(git rev-parse --local-env-vars)
exec %s receive --data %s %s
`

// installPush makes a bare repository deploy what is pushed to it. It is made
// when it is not there; a hook of somebody else's stays as it is.
func (s *session) installPush(ctx context.Context, repository string) error {
	path, err := filepath.Abs(repository)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if _, err := gitIn(ctx, ".", "init", "--quiet", "--bare", "--", path); err != nil {
			return err
		}
		s.say("made the bare repository %s", path)
	}
	if bare, err := gitIn(ctx, path, "rev-parse", "--is-bare-repository"); err != nil || strings.TrimSpace(bare) != "true" {
		return ship.Errorf(ship.Invalid, "shiplock init --push-to "+repository+".git", "%s is no bare repository, and a push to one that somebody works in is refused by git", path)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	hook := filepath.Join(path, hookName)
	text := fmt.Sprintf(hookText, shellWord(program), shellWord(s.data), shellWord(path))
	switch old, err := os.ReadFile(hook); {
	case err == nil && string(old) != text && !strings.Contains(string(old), "shiplock init --push-to"):
		return ship.Errorf(ship.Invalid, "move it away, or call from it: "+strings.TrimSpace(text[strings.Index(text, "exec ")+5:]), "%s is there and is not ours; nothing was written", hook)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return ship.Errorf(ship.Invalid, "make it readable", "init: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		return ship.Errorf(ship.Invalid, "make the repository writable", "init: %w", err)
	}
	if err := atomicfile.Write(hook, []byte(text), 0o755); err != nil {
		return ship.Errorf(ship.Invalid, "make the repository writable", "init: %w", err)
	}
	s.say("wrote %s: a push to an environment's branch deploys there", hook)
	s.say("Next, in your clone: git remote add shiplock %s && git push shiplock HEAD:main", path)
	return nil
}

// shellWord quotes what the hook hands on.
func shellWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// receiveCommand is what the hook starts.
func (s *session) receiveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "receive repository", Short: "Deploy what a push brought, as told by git on standard input", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			pushes, err := readPushes(s.in)
			if err != nil {
				return err
			}
			var all []error
			for _, p := range pushes {
				all = append(all, s.receive(c.Context(), args[0], p))
			}
			return errors.Join(all...)
		},
	}
}

// A pushed is a branch and the commit it has now.
type pushed struct{ branch, commit string }

var commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// readPushes reads the lines "old new ref" of git. Tags and branches that are
// removed deploy nothing.
func readPushes(r io.Reader) (all []pushed, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxPushLine)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 || !commitForm.MatchString(f[1]) {
			return nil, ship.Errorf(ship.Invalid, "git push", "receive: %q is not what git tells a hook", mask.Terminal(lines.Text()))
		}
		branch, ok := strings.CutPrefix(f[2], "refs/heads/")
		if !ok || strings.Trim(f[1], "0") == "" {
			continue
		}
		if all = append(all, pushed{branch, f[1]}); len(all) > maxUpdates {
			return nil, ship.Errorf(ship.Refused, "push fewer at once", "receive: more than %d branches were pushed; nothing was deployed", maxUpdates)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	return all, nil
}

// receive deploys a commit to the environments whose branch it was pushed to.
func (s *session) receive(ctx context.Context, repository string, p pushed) error {
	dir, err := os.MkdirTemp("", "shiplock-push-")
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	defer os.RemoveAll(dir)
	// Hooks of the machine's template are not for our copy.
	if _, err := gitIn(ctx, dir, "clone", "--quiet", "--shared", "--no-checkout", "--template=", "--", repository, "."); err != nil {
		return err
	}
	if _, err := gitIn(ctx, dir, "checkout", "--quiet", "--detach", p.commit); err != nil {
		return err
	}
	// Whether a commit is on a branch is asked here, too.
	if _, err := gitIn(ctx, dir, "fetch", "--quiet", "--update-head-ok", "origin", "+refs/heads/*:refs/heads/*"); err != nil {
		return err
	}
	s.file = filepath.Join(dir, config.FileName)
	if _, err := os.Lstat(s.file); errors.Is(err, os.ErrNotExist) {
		s.say("commit %.7s of branch %s has no %s; nothing is deployed", p.commit, mask.Terminal(p.branch), config.FileName)
		return nil
	}
	file, err := s.load()
	if err != nil {
		return fmt.Errorf("commit %.7s of branch %s: %w", p.commit, p.branch, err)
	}
	deployed, promoted, err := s.pushedTo(file, p.branch)
	if err != nil {
		return err
	}
	var all []error
	for _, name := range deployed {
		all = append(all, s.deployPushed(ctx, name, p))
	}
	for _, name := range promoted {
		all = append(all, s.promotePushed(ctx, name, p))
	}
	return errors.Join(all...)
}

// pushedTo returns the environments that take what is pushed to a branch, and
// those that take what has proven itself before, as far as it is on the branch
// now, by themselves.
func (s *session) pushedTo(file *config.File, branch string) (deployed, promoted []string, err error) {
	for _, name := range file.Environments() {
		env, err := file.Environment(name)
		if err != nil {
			return nil, nil, err
		}
		here, err := s.onlyHereOf(file, name)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case env.Branch != branch:
		case env.After != "" && !env.Auto:
			s.say("%s takes what %s has proven: shiplock promote %s", name, env.After, name)
		case len(here) > 0:
			return nil, nil, ship.Errorf(ship.Invalid, "put the file outside of the repository and name it by its absolute path",
				"a pushed commit is unpacked in a folder of its own, where %s is no file: %s", name, strings.Join(here, ", "))
		case env.After != "":
			promoted = append(promoted, name)
		default:
			deployed = append(deployed, name)
		}
	}
	if len(deployed)+len(promoted) == 0 {
		s.say("branch %s is the branch of no environment that deploys what is pushed; nothing is deployed", mask.Terminal(branch))
	}
	slices.Sort(deployed)
	return deployed, promoted, nil
}

// promotePushed promotes to an environment what serves the one before, if its
// commit is on the branch that was pushed. Nobody is kept waiting: the release
// may have to soak.
func (s *session) promotePushed(ctx context.Context, env string, p pushed) error {
	s.say("looking for what %s can take, now that commit %.7s is on branch %s", env, p.commit, mask.Terminal(p.branch))
	err := s.promote(ctx, env, deployFlags{queue: true, noWait: true, reason: fmt.Sprintf("push of %.7s to %s", p.commit, p.branch)}, false)
	if ship.KindOf(err) == ship.Refused {
		s.say("! nothing is promoted: %v", err)
		return nil
	}
	return err
}

// onlyHereOf names the files that a deployment to an environment, and those that
// follow it, need of this folder.
func (s *session) onlyHereOf(file *config.File, name string) ([]string, error) {
	here := file.OnlyHere(name)
	next, err := file.Followers(name)
	for _, env := range next {
		here = append(here, file.OnlyHere(env.ID.Name)...)
	}
	return here, err
}

func (s *session) deployPushed(ctx context.Context, env string, p pushed) error {
	s.say("deploying commit %.7s of branch %s to %s", p.commit, mask.Terminal(p.branch), env)
	return s.withRelease(ctx, []string{env}, deployFlags{}, func(ctx context.Context, cl *client.Client, r asked) error {
		r.run.Verb, r.run.Reason = ship.VerbDeploy, fmt.Sprintf("push of %.7s to %s", p.commit, p.branch)
		r.run.Next = s.next(ctx, r.folder, r.followers, r.artifact)
		s.untilHealthy = true
		return s.runAndFollow(ctx, cl, r.run, false)
	})
}

// gitIn runs git in a folder, without the variables of a hook.
func gitIn(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = config.BaseEnviron()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", ship.Errorf(ship.Failed, "git -C "+dir+" "+args[0], "git %s: %w: %s", args[0], err, mask.Terminal(strings.TrimSpace(string(out))))
	}
	return string(out), nil
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/testneed"
)

// A clone is the working tree of a project that is pushed.
type clone struct {
	*goShop
	git string
}

// run carries out git in the working tree and returns all it printed.
func (c *clone) run(args ...string) string {
	c.w.t.Helper()
	cmd := exec.Command(c.git, append([]string{"-C", c.dir, "-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.w.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return string(out)
}

// push commits the folder as it is and pushes it to a branch.
func (c *clone) push(branch string) string {
	c.w.t.Helper()
	c.run("add", "--all", ".")
	c.run("commit", "--quiet", "--allow-empty", "-m", "next")
	return c.run("push", "--porcelain", "shiplock", "HEAD:"+branch)
}

func (c *clone) said(out string, want ...string) {
	c.w.t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			c.w.t.Errorf("the push does not say %q: %s", w, out)
		}
	}
}

// A branch alone is deployed by a push, as its pusher sees.
func TestAPushToTheBranchOfAnEnvironmentDeploysIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &clone{newGoShop(t, w, "1s"), testneed.Command(t, "git", "git")}
	repository := filepath.Join(t.TempDir(), "the shop's.git")
	init := func() (string, int) { return w.run("init", "--data", w.data, "--push-to", repository) }
	for range 2 { // the second time it is there
		if out, code := init(); code != 0 || !strings.Contains(out, "git remote add") {
			t.Fatalf("init --push-to: exit code %d: %s", code, out)
		}
	}
	c.run("init", "--quiet", "-b", "main")
	c.run("remote", "add", "shiplock", repository)

	c.change("shiplock.yaml", "{platform: process,", "{branch: main, platform: process,")
	c.write(".gitignore", "secrets.env\n", 0o644)
	c.said(c.push("main"), "secrets.file: secrets.env", "absolute path")
	c.change("shiplock.yaml", "{file: secrets.env}", "{file: "+filepath.Join(c.dir, "secrets.env")+"}")
	c.said(c.push("feature"), "branch feature is the branch of no environment")
	c.version("1")
	c.said(c.push("main"), "of branch main to production", "v1 serves shop/production")
	c.answers("/products", "1")
	c.version("2")
	c.said(c.push("main"), "v2 serves shop/production")
	c.answers("/products", "2")
	if last := c.settled()[0]; !strings.HasPrefix(last.Request.Reason, "push of ") {
		t.Errorf("the history says the reason is %q", last.Request.Reason)
	}
	c.change("shiplock.yaml", "platform: process", "platfrom: process")
	c.said(c.push("main"), "platfrom", "did you mean", "shiplock.yaml:")
	c.run("push", "shiplock", ":feature", "HEAD:refs/tags/main")
	if s := c.status(); s.Release == nil || s.Release.Number != 2 {
		t.Errorf("%+v serves", s.Release)
	}

	hook := filepath.Join(repository, "hooks/post-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nexec mail\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := init(); code != 2 || !strings.Contains(out, "is not ours") {
		t.Errorf("init over a hook of somebody else's: exit code %d: %s", code, out)
	}
	if b, err := os.ReadFile(hook); err != nil || !strings.Contains(string(b), "exec mail") {
		t.Errorf("the hook is %q, %v", b, err)
	}
}

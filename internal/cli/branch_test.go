package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestAPromotedCommitHasToBeOnTheBranch(t *testing.T) {
	git := testneed.Command(t, "git", "git")
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(git, append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q", "-b", "main")
	run("commit", "-q", "--allow-empty", "-m", "one")
	merged := run("rev-parse", "HEAD")
	run("checkout", "-q", "-b", "feature")
	run("commit", "-q", "--allow-empty", "-m", "two")
	unmerged := run("rev-parse", "HEAD")

	env := ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}, Branch: "main", After: "staging"}
	for name, tt := range map[string]struct {
		a    ship.Artifact
		want ship.Kind
	}{
		"a commit on the branch":          {ship.Artifact{Commit: merged}, ""},
		"a commit that was not merged":    {ship.Artifact{Commit: unmerged}, ship.Refused},
		"a commit with changes on top":    {ship.Artifact{Commit: merged, Dirty: true}, ship.Refused},
		"a folder outside any repository": {ship.Artifact{}, ship.Refused},
		"a commit that is not there":      {ship.Artifact{Commit: strings.Repeat("0", 40)}, ship.Failed},
	} {
		err := onBranch(t.Context(), dir, env, tt.a)
		if tt.want == "" && err != nil || tt.want != "" && ship.KindOf(err) != tt.want {
			t.Errorf("%s: %v, want kind %q", name, err, tt.want)
		}
	}
	env.After = ""
	if err := onBranch(t.Context(), dir, env, ship.Artifact{Commit: unmerged}); err != nil {
		t.Errorf("an environment nothing is promoted to: %v", err)
	}
}

func TestA38ABranchCannotBeAnOptionOrAPlace(t *testing.T) {
	testneed.Command(t, "git", "git")
	env := ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}, After: "staging"}
	for _, branch := range []string{"--upload-pack=touch x", "-c", "ext::sh -c touch% x", "file:///etc", "../../HEAD", "main..other"} {
		dir := t.TempDir()
		env.Branch = branch
		err := onBranch(t.Context(), dir, env, ship.Artifact{Commit: strings.Repeat("0", 40)})
		if k := ship.KindOf(err); k != ship.Invalid && k != ship.Failed {
			t.Errorf("branch %q: %v, want a refusal", branch, err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("branch %q left %v, %v", branch, left, err)
		}
	}
}

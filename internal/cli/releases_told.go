package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// maxCommits is how many commits between two releases are shown.
const maxCommits = 50

// withCommits adds to a release the commits since the one before, where the
// repository here has both.
func withCommits(ctx context.Context, dir string, all []wire.Told, i int) {
	rel := &all[i]
	if i+1 >= len(all) || rel.Artifact.Commit == "" || all[i+1].Artifact.Commit == "" {
		return
	}
	from, to := all[i+1].Artifact.Commit, rel.Artifact.Commit
	if from == to || !commitForm.MatchString(from) || !commitForm.MatchString(to) {
		return
	}
	out, err := gitIn(ctx, dir, "log", "--no-show-signature", "--no-decorate", "--format=%H %s", from+".."+to, "--")
	if err != nil {
		return // another machine's, or a shallow clone
	}
	for line := range strings.Lines(out) {
		if len(rel.Commits) == maxCommits {
			rel.Left++
			continue
		}
		id, title, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		rel.Commits = append(rel.Commits, wire.Commit{ID: id, Title: title})
	}
}

func printReleases(w io.Writer, all []wire.Told) {
	if len(all) == 0 {
		fmt.Fprintln(w, "There is no release yet.")
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RELEASE\tDIGEST\tMIGRATIONS\tCREATED\tBY\tRUNS IN\tCHANGED")
	for _, r := range all {
		var where []string
		for _, in := range r.RunsIn {
			where = append(where, in.Environment)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s ago\t%s\t%s\t%s\n", releaseName(r.Release), short(r.Artifact.Digest), len(r.Migrations), ago(r.CreatedAt), r.CreatedBy, strings.Join(where, " "), changed(r))
	}
	_ = t.Flush()
}

// changed counts what changed since the release before.
func changed(r wire.Told) string {
	var parts []string
	if n := len(r.Commits) + r.Left; n > 0 {
		parts = append(parts, count(n, "commit"))
	}
	if n := len(r.Added) + len(r.Changed) + len(r.Gone); n > 0 {
		parts = append(parts, count(n, "migration"))
	}
	for _, set := range r.Set {
		parts = append(parts, count(len(set.Names), "setting")+" in "+set.Environment)
	}
	return strings.Join(parts, ", ")
}

// showRelease shows one release with all that changed.
func (s *session) showRelease(ctx context.Context, file *config.File, all []wire.Told, name string) error {
	i := slices.IndexFunc(all, func(r wire.Told) bool {
		return r.Artifact.Digest == name || strconv.Itoa(r.Number) == strings.TrimPrefix(name, "v")
	})
	if i < 0 {
		return ship.Errorf(ship.NotFound, "shiplock releases", "%s has no release %s", file.App, name)
	}
	withCommits(ctx, file.Dir, all, i)
	return s.print(all[i], func(w io.Writer) { printTold(w, all[i]) })
}

func printTold(w io.Writer, r wire.Told) {
	fmt.Fprintf(w, "%s %s  %d files, %d KiB, created %s ago by %s\n", releaseName(r.Release), r.Artifact.Digest, r.Artifact.Files, r.Artifact.Size>>10, ago(r.CreatedAt), r.CreatedBy)
	for _, in := range r.RunsIn {
		fmt.Fprintf(w, "runs in %s, since %s, by %s\n", in.Environment, ago(in.Since), in.By)
	}
	if r.Since == 0 {
		fmt.Fprintln(w, "It is the first.")
		return
	}
	fmt.Fprintf(w, "Since v%d:\n", r.Since)
	for _, c := range r.Commits {
		fmt.Fprintf(w, "  %.7s %s\n", c.ID, mask.Terminal(c.Title))
	}
	if r.Left > 0 {
		fmt.Fprintf(w, "  and %s more\n", count(r.Left, "commit"))
	}
	for _, kind := range []struct {
		word string
		ids  []string
	}{{"new", r.Added}, {"changed", r.Changed}, {"gone", r.Gone}} {
		for _, id := range kind.ids {
			fmt.Fprintf(w, "  migration %s is %s\n", mask.Terminal(id), kind.word)
		}
	}
	for _, set := range r.Set {
		fmt.Fprintf(w, "  settings of %s: %s\n", set.Environment, mask.Terminal(strings.Join(set.Names, ", ")))
	}
	if changed(r) == "" {
		fmt.Fprintln(w, "  nothing that is known of")
	}
}

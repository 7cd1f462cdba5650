package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// deployFlags are what deploy and plan have in common.
type deployFlags struct {
	release string
	accept  string
	revert  bool
	backup  string
	reason  string
	noWait  bool
	wait    string
	queue   bool
}

func (d *deployFlags) add(c *cobra.Command, s *session) {
	f := c.Flags()
	f.StringVar(&d.release, "release", "", "deploy a `release` there is (v12 or sha256:…) instead of this folder")
	d.addRoute(c)
	f.StringVar(&s.state, "state", "", "run without a server, with the state at this `URL`")
}

// addRoute adds what decides how the schema is changed.
func (d *deployFlags) addRoute(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&d.accept, "accept", "", "accept an interruption for changes the running release cannot live with: `hold|maintenance`")
	f.BoolVar(&d.revert, "revert-schema", false, "when the run fails take completed migrations back too")
	f.StringVar(&d.backup, "skip-backup", "", "migrate without a backup, for this `reason`")
}

// addChoices adds what deploy has and plan has not.
func (d *deployFlags) addChoices(c *cobra.Command) {
	c.Flags().StringVar(&d.reason, "reason", "", "`why`, for the history")
	waitFlag(c, &d.wait)
	c.Flags().BoolVar(&d.noWait, "no-wait", false, "return when the run has begun")
	c.Flags().BoolVar(&d.queue, "queue", false, "wait for what it may not begin for now: a run, a lock, a freeze, a soak; a newer one takes its place")
}

func (d *deployFlags) options() (ship.Options, error) {
	if d.accept != "" && d.accept != "hold" && d.accept != "maintenance" {
		return ship.Options{}, usage{fmt.Errorf("--accept is hold or maintenance, not %q", d.accept)}
	}
	return ship.Options{Accept: d.accept, RevertSchema: d.revert, SkipBackup: d.backup}, nil
}

func (s *session) deployCommand() *cobra.Command {
	var d deployFlags
	var dryRun bool
	c := &cobra.Command{
		Use: "deploy [environment]", Short: "Deploy this folder, or a release there is", Args: cobra.MaximumNArgs(1),
		Example:           "  shiplock deploy staging\n  shiplock deploy production --release v12\n  shiplock deploy dev -o json",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.waits(d.wait); err != nil {
				return err
			}
			if d.queue && s.state != "" {
				return usage{errors.New("--queue needs a server: without one nobody is there when its turn comes")}
			}
			return s.withRelease(c.Context(), args, d, func(ctx context.Context, cl *client.Client, r asked) error {
				if err := onBranch(ctx, r.folder, r.run.Environment, r.artifact); err != nil {
					return err
				}
				r.run.Verb, r.run.Reason, r.run.Queue = ship.VerbDeploy, d.reason, d.queue
				if dryRun {
					return errors.Join(s.showPlan(ctx, cl, r), s.mayBegin(ctx, cl, r.run))
				}
				r.run.Next = s.next(ctx, r.folder, r.followers, r.artifact)
				return s.runAndFollow(ctx, cl, r.run, d.noWait)
			})
		},
	}
	d.add(c, s)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan, as shiplock plan does, and change nothing that serves")
	c.Flags().DurationVar(&s.claim, "claim", 0, "with --state: who is not heard of for `so long` may be replaced")
	_ = c.Flags().MarkHidden("claim")
	d.addChoices(c)
	return c
}

// mayBegin says what a run would wait for if it were asked for now. That is no
// part of its plan.
func (s *session) mayBegin(ctx context.Context, cl *client.Client, in wire.NewRun) error {
	j, err := cl.Judge(ctx, in)
	if err == nil && j.Outcome != ship.Pass {
		s.say("! it may not begin now: %s", mask.Terminal(j.Reason))
	}
	return err
}

func waitFlag(c *cobra.Command, wait *string) {
	c.Flags().StringVar(wait, "wait", "healthy", "return when health is proven, or when the release is well and too few requests come to prove it; or not before the watch is over: `healthy|watched`")
}

// waits takes down how long a run is followed.
func (s *session) waits(wait string) error {
	if wait != "healthy" && wait != "watched" {
		return usage{fmt.Errorf("--wait is healthy or watched, not %q", wait)}
	}
	// Without a server nobody else would hear how the watch ends.
	s.untilHealthy = wait == "healthy" && s.state == ""
	return nil
}

// asked is what somebody wants done with a release.
type asked struct {
	run      wire.NewRun // its verb is for the command to say
	artifact ship.Artifact
	folder   string // of the configuration

	followers []ship.Environment // that may take it by themselves
}

// withRelease calls f with the release and the environment that are asked for.
func (s *session) withRelease(ctx context.Context, args []string, d deployFlags, f func(context.Context, *client.Client, asked) error) error {
	file, env, err := s.environment(args)
	if err != nil {
		return err
	}
	opts, err := d.options()
	if err != nil {
		return err
	}
	followers, err := s.followers(file, env)
	if err != nil {
		return err
	}
	return s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		rel, err := s.pick(ctx, cl, file, env, d.release)
		if err != nil {
			return err
		}
		run := wire.NewRun{Environment: env, Release: rel.Number, By: s.who(), Options: opts}
		return f(ctx, cl, asked{run: run, artifact: rel.Artifact, folder: file.Dir, followers: followers})
	})
}

// pick returns the release that is asked for: the named one, or a new one of
// the folder.
func (s *session) pick(ctx context.Context, cl *client.Client, file *config.File, env ship.Environment, name string) (ship.Release, error) {
	if name == "" {
		return s.pack(ctx, cl, file, env)
	}
	all, err := cl.Releases(ctx, file.App)
	if err != nil {
		return ship.Release{}, err
	}
	for _, r := range all {
		if r.Artifact.Digest == name || strings.TrimPrefix(name, "v") == strconv.Itoa(r.Number) {
			return r, nil
		}
	}
	return ship.Release{}, ship.Errorf(ship.NotFound, "shiplock releases", "%s has no release %s", file.App, name)
}

// pack builds the folder's artifact, uploads it unless the server has it, and
// makes a release of it.
func (s *session) pack(ctx context.Context, cl *client.Client, file *config.File, env ship.Environment) (ship.Release, error) {
	tmp, err := os.CreateTemp("", "shiplock-*.zip")
	if err != nil {
		return ship.Release{}, fmt.Errorf("pack: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	a, err := s.packTo(ctx, file, env, tmp)
	if err != nil {
		return ship.Release{}, err
	}
	has, err := cl.HasArtifact(ctx, a.Digest)
	if err != nil {
		return ship.Release{}, err
	}
	if !has {
		if _, err := tmp.Seek(0, io.SeekStart); err != nil {
			return ship.Release{}, fmt.Errorf("upload: %w", err)
		}
		bar := s.progress("upload", a.Size)
		err := cl.PutArtifact(ctx, a, io.TeeReader(tmp, bar))
		if err := errors.Join(err, bar.Close()); err != nil {
			return ship.Release{}, err
		}
	}
	rel, err := cl.AddRelease(ctx, wire.NewRelease{App: file.App, Digest: a.Digest, By: s.who()})
	if err == nil {
		s.say("%s v%d  %s  %d files, %d KiB%s", rel.App, rel.Number, short(a.Digest), a.Files, a.Size>>10, commit(rel.Artifact))
	}
	return rel, err
}

// packTo writes the folder's artifact to w.
func (s *session) packTo(ctx context.Context, file *config.File, env ship.Environment, w io.Writer) (ship.Artifact, error) {
	o := release.PackOptions{Dir: file.Dir, App: file.App, Exclude: file.Exclude}
	if rel, err := filepath.Rel(file.Dir, env.SecretsFile); err == nil && env.SecretsFile != "" && filepath.IsLocal(rel) {
		o.Exclude = append(o.Exclude[:len(o.Exclude):len(o.Exclude)], "/"+filepath.ToSlash(rel)) // never part of a release
	}
	if env.Migrate != nil {
		tool, err := builtin.Tools().Open(env.Migrate.Tool, plugin.Deps{Log: s.logger()})
		if err != nil {
			return ship.Artifact{}, err
		}
		o.Migrations = func(tree fs.FS) ([]ship.Migration, error) { return tool.Files(tree) }
	}
	bar := s.progress("pack", -1)
	o.Progress = bar.Set
	a, _, err := release.Pack(ctx, o, w)
	return a, errors.Join(err, bar.Close())
}

func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}

func commit(a ship.Artifact) string {
	if a.Commit == "" {
		return ""
	}
	text := ", commit " + a.Commit[:min(7, len(a.Commit))]
	if a.Dirty {
		text += " with uncommitted changes"
	}
	return text
}

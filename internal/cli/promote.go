package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) promoteCommand() *cobra.Command {
	var d deployFlags
	var dryRun bool
	c := &cobra.Command{
		Use: "promote environment", Short: "Deploy what the environment before has proven, the same bytes", Args: cobra.ExactArgs(1),
		Long: "Deploy to an environment the release that serves the one it comes after: the very artifact, by its\n" +
			"digest; nothing is built or packed. The settings are those of the environment in the configuration\n" +
			"here, as with deploy. It is refused, with why and the next command, where the release has not served\n" +
			"there, was taken back, has not soaked, or where the environment is locked, frozen or taken.",
		Example:           "  shiplock promote staging\n  shiplock promote production --release v12 --queue",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.waits(d.wait); err != nil {
				return err
			}
			return s.promote(c.Context(), args[0], d, dryRun)
		},
	}
	f := c.Flags()
	f.StringVar(&d.release, "release", "", "promote this `release` (v12) instead of the one that serves the environment before")
	f.BoolVar(&dryRun, "dry-run", false, "show the plan and whether it may begin now, and change nothing that serves")
	d.addRoute(c)
	d.addChoices(c)
	return c
}

func (s *session) promote(ctx context.Context, name string, d deployFlags, dryRun bool) error {
	file, env, err := s.environment([]string{name})
	if err != nil {
		return err
	}
	in := wire.NewRun{Verb: ship.VerbDeploy, Promote: true, Environment: env, By: s.who(), Reason: d.reason, Queue: d.queue}
	if in.Options, err = d.options(); err != nil {
		return err
	}
	if d.release != "" {
		if in.Release, err = strconv.Atoi(strings.TrimPrefix(d.release, "v")); err != nil || in.Release < 1 {
			return usage{fmt.Errorf("%q is no release: give its number, such as v41", d.release)}
		}
	}
	followers, err := s.followers(file, env)
	if err != nil {
		return err
	}
	return s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		judged, err := cl.Judge(ctx, in)
		if err != nil {
			return err
		}
		in.Release = judged.Release.Number
		a := judged.Release.Artifact
		if err := onBranch(ctx, file.Dir, env, a); err != nil {
			return err
		}
		s.say("%s v%d  %s%s, the bytes that served %s", file.App, in.Release, short(a.Digest), commit(a), env.After)
		if dryRun {
			return s.dryPromotion(ctx, cl, asked{run: in, artifact: a, folder: file.Dir}, judged)
		}
		in.Next = s.next(ctx, file.Dir, followers, a)
		return s.runAndFollow(ctx, cl, in, d.noWait)
	})
}

// dryPromotion shows the plan of a promotion that may begin, now or later, and
// says when it may not.
func (s *session) dryPromotion(ctx context.Context, cl *client.Client, r asked, j wire.Judged) error {
	if j.Outcome != ship.Fail {
		if err := s.showPlan(ctx, cl, r); err != nil {
			return err
		}
	}
	if j.Outcome == ship.Pass {
		return nil
	}
	return ship.Errorf(j.Kind, j.Next, "%s", j.Reason)
}

// followers returns the environments that are to take the release by themselves.
// Files they name by a path relative to here have to be there for the server.
func (s *session) followers(file *config.File, env ship.Environment) ([]ship.Environment, error) {
	all, err := file.Followers(env.ID.Name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if s.state != "" {
		s.say("! without a server nothing follows by itself: shiplock promote %s", all[0].ID.Name)
		return nil, nil
	}
	s.onlyHere, err = s.onlyHereOf(file, env.ID.Name)
	return all, err
}

// next leaves out the followers that do not take commits of other branches, and
// those that would come after them.
func (s *session) next(ctx context.Context, dir string, followers []ship.Environment, a ship.Artifact) []ship.Environment {
	var all []ship.Environment
	left := map[string]bool{}
	for _, env := range followers {
		err := onBranch(ctx, dir, env, a)
		if err != nil {
			s.say("! %s does not follow by itself: %v", env.ID.Name, err)
		}
		if left[env.ID.Name] = err != nil || left[env.After]; !left[env.ID.Name] {
			all = append(all, env)
			s.say("%s follows by itself when it has passed in %s", env.ID.Name, env.After)
		}
	}
	return all
}

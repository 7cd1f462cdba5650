package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) releasesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "releases [release]", Short: "List the releases, where each runs and what changed since the one before", Args: cobra.MaximumNArgs(1),
		Long: "List the releases, where each runs and what changed since the one before: commits, where the repository\n" +
			"is here, migrations, and in which environment which settings. Name a release to see which these are.",
		RunE: func(c *cobra.Command, args []string) error {
			file, err := s.load()
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				all, err := cl.Told(ctx, file.App)
				if err != nil {
					return err
				}
				if len(args) > 0 {
					return s.showRelease(ctx, file, all, args[0])
				}
				for i := range all {
					withCommits(ctx, file.Dir, all, i)
				}
				return s.print(all, func(w io.Writer) { printReleases(w, all) })
			})
		},
	}
	c.AddCommand(s.releasesPrune())
	return c
}

func (s *session) releasesPrune() *cobra.Command {
	in := wire.Prune{}
	c := &cobra.Command{
		Use: "prune", Short: "Delete releases nobody needs any more", Args: cobra.NoArgs,
		Long: "Delete releases besides the newest. One stays as long as a migration it applied is applied anywhere,\nor one that no other release carries, because its way down is in its files; as long as it is in a\nslot, is what a rollback goes to, or a run is about it. Their lines in the history stay.",
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := s.load()
			if err != nil {
				return err
			}
			in.App = file.App
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				out, err := cl.Prune(ctx, in)
				if err != nil {
					return err
				}
				return s.print(out, func(w io.Writer) { printPruned(w, out) })
			})
		},
	}
	c.Flags().IntVar(&in.Keep, "keep", 10, "keep so `many` of the newest whatever else")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only say which")
	return c
}

func printPruned(w io.Writer, p wire.Prune) {
	word := "deleted"
	if p.DryRun {
		word = "would be deleted"
	}
	for _, r := range p.Deleted {
		fmt.Fprintf(w, "v%d %s %s\n", r.Number, short(r.Artifact.Digest), word)
	}
	for _, k := range p.Kept {
		fmt.Fprintf(w, "v%d stays: %s\n", k.Release, mask.Terminal(k.Why))
	}
}

func (s *session) releaseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "release", Short: "Pack this folder into a release, without deploying it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := s.load()
			if err != nil {
				return err
			}
			env, err := file.Environment(file.Environments()[0])
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				rel, err := s.pack(ctx, cl, file, env)
				if err != nil {
					return err
				}
				return s.print(rel, func(w io.Writer) { fmt.Fprintf(w, "v%d %s\n", rel.Number, rel.Artifact.Digest) })
			})
		},
	}
}

package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) releasesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "releases", Short: "List the releases and where each runs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := s.load()
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				all, err := cl.Releases(ctx, file.App)
				if err != nil {
					return err
				}
				status, err := cl.Status(ctx, file.App, "")
				if err != nil {
					return err
				}
				return s.print(all, func(w io.Writer) {
					if len(all) == 0 {
						fmt.Fprintln(w, "There is no release yet.")
						return
					}
					printReleases(w, all, status)
				})
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

func printReleases(w io.Writer, all []ship.Release, status []wire.EnvironmentStatus) {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RELEASE\tDIGEST\tMIGRATIONS\tCREATED\tBY\tRUNS IN")
	for _, r := range all {
		where := ""
		for _, e := range status {
			if e.Release != nil && e.Release.Number == r.Number {
				where += e.ID.Name + " "
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s ago\t%s\t%s\n", releaseName(r), short(r.Artifact.Digest), len(r.Migrations), ago(r.CreatedAt), r.CreatedBy, where)
	}
	_ = t.Flush()
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

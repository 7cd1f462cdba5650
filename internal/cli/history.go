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

func (s *session) historyCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history [environment]", Short: "List the runs, newest first", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			env := ""
			if len(args) > 0 {
				env = args[0]
			}
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				runs, err := cl.Runs(ctx, s.appName(), env, limit)
				if err != nil {
					return err
				}
				if err := s.mistaken(env, len(runs)); err != nil {
					return err
				}
				return s.print(runs, func(w io.Writer) {
					if len(runs) == 0 {
						fmt.Fprintln(w, "There is no run yet.")
						return
					}
					printRuns(w, runs)
				})
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "show at most so `many`")
	return c
}

func printRuns(w io.Writer, runs []ship.Run) {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tENVIRONMENT\tVERB\tRELEASE\tSTATUS\tWHEN\tBY\tRESULT")
	for _, r := range runs {
		status := string(r.Status)
		if r.Result.Kind == ship.RolledBack {
			status = "rolled back"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tv%d\t%s\t%s ago\t%s\t%s\n", r.ID, r.Request.Environment.ID, r.Request.Verb, r.Request.Release.Number, status, ago(r.CreatedAt), r.Request.By, mask.Terminal(firstLine(r.Result.Reason)))
	}
	_ = t.Flush()
}

func (s *session) releasesCommand() *cobra.Command {
	return &cobra.Command{
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

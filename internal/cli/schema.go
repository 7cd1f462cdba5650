package cli

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint/live"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) schemaCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "schema", Short: "Look at the schema of a target database", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use: "snapshot [environment]", Short: "Print the schema as a file that lint takes with --schema", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		Long: "Print the schema of an environment's target database, its server's version and about how many rows\n" +
			"each table has, as JSON. Kept beside the migrations, it lets shiplock lint --schema know what is\n" +
			"there where no database is at hand. It holds no rows.",
		RunE: func(c *cobra.Command, args []string) error { return s.schemaSnapshot(c.Context(), args) },
	})
	c.AddCommand(s.schemaDiff())
	return c
}

func (s *session) schemaSnapshot(ctx context.Context, args []string) error {
	_, env, err := s.environment(args)
	if err != nil {
		return err
	}
	if env.Database == nil {
		return ship.Errorf(ship.Invalid, "", "the environment has no database")
	}
	r, url, err := databaseURL(env)
	if err != nil {
		return err
	}
	deps := plugin.Deps{Log: slog.New(slog.DiscardHandler), DataDir: s.data, Resolve: r.Resolve}
	db, err := builtin.Databases().Open(env.Database.Kind, database.Config{URL: url, LockTimeout: checkTimeout}, deps)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	snapshot, err := live.Read(ctx, db, env.Database.Kind)
	if err != nil {
		return err
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(snapshot)
}

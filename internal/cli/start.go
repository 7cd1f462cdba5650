package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) startCommand() *cobra.Command {
	var process string
	var wait time.Duration
	var doMigrate, only, prepare bool
	c := &cobra.Command{
		Use: "start [environment]", Short: "Start a release where no run starts it: in a container, or in a hosted slot", Args: cobra.MaximumNArgs(1),
		Long: "Wait for the database, make sure that release and database fit, set up, and become the server: the\nprocess is replaced by the command of the configuration, so that signals reach it. A database that\nis ahead by changes this release can live with is fine; any other is refused, naming both sides.\n\n" +
			"An image must hold, from its build, what the node would have made of the folder: what\nrun.python.requirements names has to be installed, the commands of run.prepare carried out (or give\n--prepare), and what release.exclude names is best left out. The commands of run.setup are carried\nout here.\n\n" +
			"${secret:NAME} is looked up in the secrets file and, where that has no such line or there is no\nfile, in the environment variable NAME.",
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			o := app.Options{Dir: s.data, Version: version(), Lookup: config.Lookup, Log: s.logger()}
			return app.Start(c.Context(), o, app.StartOptions{
				Environment: env, Dir: file.Dir, Process: process, Wait: wait, Migrate: doMigrate || only, MigrateOnly: only,
				Prepare: prepare, Exclude: file.Exclude, By: s.who(),
			})
		},
	}
	f := c.Flags()
	f.StringVar(&process, "process", ship.Web, "`process` to become")
	f.DurationVar(&wait, "wait", 2*time.Minute, "for the database, and for a replica that migrates")
	f.BoolVar(&doMigrate, "migrate", false, "apply pending migrations under the fenced lock first")
	f.BoolVar(&only, "migrate-only", false, "apply pending migrations and end")
	f.BoolVar(&prepare, "prepare", false, "carry out the commands of run.prepare first")
	return c
}

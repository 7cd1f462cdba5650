package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
)

func (s *session) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Check the configuration, show what it means, print its schema", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	check := &cobra.Command{
		Use: "check", Short: "Check the configuration", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := s.load()
			if err != nil {
				return err
			}
			for _, name := range f.Environments() {
				if _, err := f.Environment(name); err != nil {
					return err
				}
			}
			return s.print(map[string]any{"app": f.App, "environments": f.Environments()}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is fine: %s with %s\n", s.file, f.App, strings.Join(f.Environments(), ", "))
				for _, gate := range f.IdleGates() {
					fmt.Fprintf(w, " ! gate %s is never run: list it under gates of an environment\n", gate)
				}
			})
		},
	}
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(config.Schema(builtin.Known()))
			return err
		},
	}
	show := &cobra.Command{
		Use: "show [environment]", Short: "Show an environment with every setting decided, references unresolved", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(_ *cobra.Command, args []string) error {
			_, env, err := s.environment(args)
			if err != nil {
				return err
			}
			text, err := config.Show(env)
			if s.json() {
				text, err = config.ShowJSON(env)
			}
			if err != nil {
				return err
			}
			_, err = s.out.Write(text)
			return err
		},
	}
	c.AddCommand(check, schema, show)
	return c
}

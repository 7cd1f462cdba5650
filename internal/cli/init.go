package cli

import (
	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [folder]", Short: "Write a shiplock.yaml for an existing application", Args: cobra.MaximumNArgs(1),
		RunE: func(*cobra.Command, []string) error {
			return ship.Errorf(ship.Internal, "", "init is not there yet")
		},
	}
}

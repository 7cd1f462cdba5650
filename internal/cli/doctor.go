package cli

import (
	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor [environment]", Short: "Check whether a deployment could go well here", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(*cobra.Command, []string) error {
			return ship.Errorf(ship.Internal, "", "doctor is not there yet")
		},
	}
}

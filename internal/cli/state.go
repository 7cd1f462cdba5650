package cli

import (
	"net/url"
	"path/filepath"

	"github.com/shiplock/shiplock/internal/ship"
)

// stateDir returns the folder a state URL means. Stores that several machines
// can share are refused by name until there is one.
func stateDir(state string) (string, error) {
	u, err := url.Parse(state)
	if err != nil {
		return "", ship.Errorf(ship.Invalid, "use file:///folder", "state %q: %w", state, err)
	}
	switch u.Scheme {
	case "", "file":
		return filepath.Abs(u.Path)
	case "postgres", "postgresql":
		return "", ship.Errorf(ship.Invalid, "use file:///folder on the machine that runs the node", "state in PostgreSQL is not available in this version")
	}
	return "", ship.Errorf(ship.Invalid, "use file:///folder", "state %q has an unknown scheme", state)
}

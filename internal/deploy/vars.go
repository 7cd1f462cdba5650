package deploy

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Variables resolves the environment variables of a release's processes: those
// of the settings, and DATABASE_URL unless they set it themselves.
func Variables(env ship.Environment, r Resolver) (map[string]ship.Secret, error) {
	out := map[string]ship.Secret{}
	for name, v := range values(env) {
		secret, err := r.Resolve(v)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		out[name] = secret
	}
	return out, nil
}

func values(env ship.Environment) map[string]ship.Value {
	all := map[string]ship.Value{}
	if env.Database != nil {
		all["DATABASE_URL"] = env.Database.URL
	}
	for name, v := range env.Vars {
		all[name] = v
	}
	return all
}

// secretsOf returns those of the resolved variables that must not be printed:
// all that came of a reference. A literal is in the configuration anyway, and
// hiding "1" or "true" would hide half of every text.
func secretsOf(env ship.Environment, vars map[string]ship.Secret) []ship.Secret {
	var out []ship.Secret
	for name, v := range values(env) {
		if strings.Contains(string(v), "${") {
			out = append(out, vars[name])
		}
	}
	return out
}

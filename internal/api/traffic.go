package api

import (
	"net/http"
	"strconv"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// traffic tells how an environment does at the moment.
func (s *server) traffic(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	env, err := s.settings(r.Context(), ship.EnvironmentID{App: q.Get("app"), Name: q.Get("env")})
	if err != nil {
		return err
	}
	st, err := s.statusOf(r.Context(), env)
	if err != nil {
		return err
	}
	out := wire.Traffic{EnvironmentStatus: st}
	p, err := s.Platform(env.Platform)
	if err != nil {
		return err
	}
	if witness, ok := p.(platform.Witness); ok && st.State != "unreachable" {
		seconds, _ := strconv.Atoi(q.Get("seconds"))
		if out.Evidence, err = witness.Evidence(r.Context(), env.ID, min(max(seconds, 0), 600)); err != nil {
			return err
		}
	}
	return write(w, out)
}

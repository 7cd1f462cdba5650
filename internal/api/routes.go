// Package api is the server's HTTP API. It turns requests into calls of the
// engine and the store and errors into statuses; it decides nothing. Who may
// connect is the listener's to say: that is a unix socket only its owner can
// open.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/promote"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
	"github.com/shiplock/shiplock/internal/wire"
)

// Config is what the API is made of.
type Config struct {
	Store     *store.Store
	Artifacts *release.Store
	Engine    *deploy.Engine
	Desk      *promote.Desk
	Platform  func(ship.Plugin) (platform.Platform, error)
	// Start has somebody carry out the run; it does not wait.
	Start   func(run string)
	Version string
	Log     *slog.Logger
}

type server struct {
	Config
	audit auditor
}

type handler func(http.ResponseWriter, *http.Request) error

// Handler returns the API.
func Handler(c Config) http.Handler {
	s := &server{Config: c}
	mux := http.NewServeMux()
	for pattern, h := range s.routes() {
		mux.HandleFunc(pattern, s.handle(s.listened(h)))
	}
	return mux
}

// Routes returns the patterns of all routes, sorted.
func Routes() []string { return slices.Sorted(maps.Keys((&server{}).routes())) }

func (s *server) routes() map[string]handler {
	return map[string]handler{
		"GET /v1/version":             s.version,
		"HEAD /v1/artifacts/{digest}": s.hasArtifact,
		"PUT /v1/artifacts/{digest}":  s.putArtifact,
		"POST /v1/releases":           s.addRelease,
		"GET /v1/releases":            s.releases,
		"POST /v1/releases/prune":     s.prune,
		"GET /v1/releases/told":       s.told,
		"POST /v1/plans":              s.plan,
		"POST /v1/judgements":         s.judge,
		"POST /v1/locks":              s.lock,
		"POST /v1/locks/release":      s.unlock,
		"POST /v1/rehearsals":         s.rehearse,
		"POST /v1/runs":               s.addRun,
		"GET /v1/runs":                s.runs,
		"GET /v1/runs/{id}":           s.run,
		"GET /v1/runs/{id}/events":    s.events,
		"POST /v1/runs/{id}/signals":  s.signal,
		"GET /v1/status":              s.status,
		"GET /v1/traffic":             s.traffic,
		"GET /v1/logs":                s.logs,
		"GET /v1/environments":        s.environments,
		"POST /v1/mode":               s.mode,
		"POST /v1/backups":            s.backup,
		"POST /v1/backups/list":       s.backups,
		"POST /v1/restores":           s.restore,
		"POST /v1/migrations":         s.migrations,
		"POST /v1/migrations/resolve": s.resolveMigration,
		"POST /v1/backfills":          s.backfills,
		"POST /v1/trash":              s.trash,
		"POST /v1/drift":              s.drift,
		"GET /v1/audit":               s.auditLog,
	}
}

// handle writes the error of h as a status and a [wire.Failure].
func (s *server) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			return
		}
		level := slog.LevelWarn
		if ship.KindOf(err) == ship.NotFound {
			level = slog.LevelDebug
		}
		s.Log.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusOf(ship.KindOf(err)))
		_ = json.NewEncoder(w).Encode(wire.Failure{Kind: ship.KindOf(err), Message: err.Error(), Hint: ship.HintOf(err)})
	}
}

// statusOf maps kinds of failure to HTTP statuses.
func statusOf(k ship.Kind) int {
	switch k {
	case ship.Invalid, ship.Refused:
		return http.StatusUnprocessableEntity
	case ship.NotFound:
		return http.StatusNotFound
	case ship.Locked, ship.Fenced:
		return http.StatusConflict
	case ship.Unreachable:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// maxBody bounds a JSON request.
const maxBody = 8 << 20

func read(r *http.Request, v any) error {
	body := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil && dec.Decode(&struct{}{}) != io.EOF {
		err = errors.New("there is more than one value in it")
	}
	if body.N <= 0 {
		err = fmt.Errorf("it has more than %d bytes", maxBody)
	}
	if err != nil {
		return ship.Errorf(ship.Invalid, "use a client of the same version as the server", "read request: %w", err)
	}
	return nil
}

// write answers with v. Once it has begun there is nobody left to tell of a
// failure: the client is gone.
func write(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
	return nil
}

func (s *server) version(w http.ResponseWriter, _ *http.Request) error {
	return write(w, wire.Version{Version: s.Version, PID: pid()})
}

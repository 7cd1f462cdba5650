package app

import (
	"context"
	"net/http"

	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
)

// measured answers with what the server measures, and what its node does.
func (a *App) measured() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(a.measure, a.Log))
	mux.HandleFunc("GET /node/metrics", func(w http.ResponseWriter, r *http.Request) {
		text, err := node.NewClient(node.Socket(a.NodeDir())).Metrics(r.Context())
		if err != nil {
			http.Error(w, "the node does not answer", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(text) // the reader may be gone
	})
	return mux
}

// measure is what the server measures.
func (a *App) measure(ctx context.Context) []metrics.Family {
	up := 0.0
	if a.node.answers(ctx) {
		up = 1
	}
	families := []metrics.Family{
		{
			Name: "shiplock_server_info", Help: "The server that runs, by its version.", Labels: []string{"version"},
			Points: []metrics.Point{{Of: []string{a.Version}, Value: 1}},
		},
		{Name: "shiplock_node_up", Help: "Whether the node of this machine answers.", Points: []metrics.Point{{Value: up}}},
	}
	counted, err := a.store.CountRuns(ctx)
	if err != nil {
		a.Log.WarnContext(ctx, "runs could not be counted", "error", err)
		return families
	}
	runs := metrics.Family{Name: "shiplock_runs", Help: "Runs, by how far they have come.", Labels: []string{"app", "environment", "status"}}
	for id, by := range counted {
		for _, status := range []ship.Status{ship.Queued, ship.Planned, ship.Running, ship.Undoing, ship.Paused, ship.Passed, ship.Broken, ship.Aborted, ship.Superseded} {
			runs.Points = append(runs.Points, metrics.Point{Of: []string{id.App, id.Name, string(status)}, Value: float64(by[status])})
		}
	}
	return append(families, runs)
}

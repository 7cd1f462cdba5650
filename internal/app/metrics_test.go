package app

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/shiplock/shiplock/internal/metrics/metricstest"
	"github.com/shiplock/shiplock/internal/ship"
)

// measuring is a server with a run and without a node.
func measuring(t *testing.T) *App {
	t.Helper()
	a, err := Open(t.Context(), Options{Dir: t.TempDir(), Version: "v1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	env := ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}}
	if _, err := a.store.AddRun(t.Context(), ship.Request{Verb: "deploy", Environment: env}, ship.Plan{}); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEveryMeasurementOfTheServerIsDocumented(t *testing.T) {
	metricstest.Documented(t, "../../docs/operations.md", "Of the server", measuring(t).measure(t.Context()))
}

func TestWhatTheServerMeasuresIsNamedAsPrometheusWantsIt(t *testing.T) {
	h := measuring(t).measured()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	body := w.Body.String()
	problems, err := promlint.New(w.Body).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, want := range []string{
		`shiplock_server_info{version="v1"} 1`, "shiplock_node_up 0",
		`shiplock_runs{app="shop",environment="production",status="planned"} 1`, `shiplock_runs{app="shop",environment="production",status="passed"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/node/metrics", nil))
	if w.Code != 502 {
		t.Errorf("without a node its metrics are answered with %d", w.Code)
	}
}

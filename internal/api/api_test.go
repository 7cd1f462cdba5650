package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/api"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/promote"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
	"github.com/shiplock/shiplock/internal/wire"
)

// A desk is the API before a real store, on a machine where nothing runs.
type desk struct {
	t         *testing.T
	url       string
	store     *store.Store
	artifacts *release.Store
	dir       string
	started   []string
	away      bool // the platform does not answer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	d := &desk{t: t, dir: dir}
	var err error
	if d.store, err = store.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.store.Close() })
	if d.artifacts, err = release.NewStore(filepath.Join(dir, "artifacts")); err != nil {
		t.Fatal(err)
	}
	engine, err := deploy.New(deploy.Config{
		Journal: d.store, Artifacts: archives{d.artifacts}, Plugins: none{d}, Dir: dir,
		Resolver: func(ship.Environment) (deploy.Resolver, error) { return nil, errors.New("no secrets") },
	})
	if err != nil {
		t.Fatal(err)
	}
	start := func(run string) { d.started = append(d.started, run) }
	desk, err := promote.New(promote.Config{Store: d.store, Start: start})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api.Handler(api.Config{
		Store: d.store, Artifacts: d.artifacts, Engine: engine, Desk: desk, Version: "test", Log: slog.New(slog.DiscardHandler),
		Platform: none{d}.Platform, Start: start,
	}))
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

type archives struct{ *release.Store }

func (a archives) Open(digest string) (deploy.File, error) { return a.Store.Open(digest) }

func (a archives) Tree(digest string) (fs.FS, func() error, error) {
	v, err := a.FS(digest)
	if err != nil {
		return nil, nil, err
	}
	return v, v.Close, nil
}

// none is a machine where nothing runs.
type none struct{ d *desk }

func (n none) Platform(ship.Plugin) (platform.Platform, error) { return idle{d: n.d}, nil }

func (none) Database(string, database.Config) (database.Database, error) {
	return nil, errors.New("no database")
}

func (none) Tool(ship.Plugin) (migrate.Tool, error) { return nil, errors.New("no tool") }

func (none) Gate(ship.Plugin, deploy.Resolver) (gate.Gate, error) { return nil, errors.New("no gate") }

func (none) Notifier(ship.Plugin, deploy.Resolver) (notify.Notifier, error) {
	return nil, errors.New("no notifier")
}

type idle struct {
	platform.Platform
	d *desk
}

func (i idle) Observe(context.Context, ship.EnvironmentID) (platform.Observation, error) {
	if i.d.away {
		return platform.Observation{}, ship.Errorf(ship.Unreachable, "shiplock up", "no node")
	}
	return platform.Observation{}, nil
}

// ask makes a request and returns the status and, of an answer that is not a
// success, the failure.
func (d *desk) ask(method, path, body string) (int, string, wire.Failure) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	var f wire.Failure
	if resp.StatusCode >= 300 && method != http.MethodHead && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &f); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.StatusCode, string(text), f
}

// posts are the routes that take JSON.
var posts = []string{
	"/v1/releases", "/v1/releases/prune", "/v1/plans", "/v1/runs", "/v1/runs/d-1/signals", "/v1/mode",
	"/v1/judgements", "/v1/locks", "/v1/locks/release",
	"/v1/backups", "/v1/backups/list", "/v1/restores", "/v1/migrations", "/v1/migrations/resolve",
}

func TestWhatIsNotUnderstoodIsRefusedOnEveryRoute(t *testing.T) {
	d := newDesk(t)
	for _, path := range posts {
		for what, body := range map[string]string{
			"an unknown field":   `{"no_such_field": 1}`,
			"another type":       `[]`,
			"nothing":            ``,
			"half a value":       `{`,
			"two values":         `{} {}`,
			"more than is taken": `{"environment": {"branch": "` + strings.Repeat("x", 8<<20) + `"}}`,
		} {
			status, text, f := d.ask(http.MethodPost, path, body)
			if status != http.StatusUnprocessableEntity || f.Kind != ship.Invalid || f.Message == "" {
				t.Errorf("%s with %s: %d %.200s", path, what, status, text)
			}
		}
	}
	if len(d.started) > 0 {
		t.Errorf("runs %v were started", d.started)
	}
}

func TestOtherMethodsAreNotAllowed(t *testing.T) {
	d := newDesk(t)
	for _, path := range append(posts, "/v1/version", "/v1/status", "/v1/logs", "/v1/environments", "/v1/runs/d-1", "/v1/runs/d-1/events") {
		if status, _, _ := d.ask(http.MethodDelete, path, ""); status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE %s: %d", path, status)
		}
	}
	if status, _, _ := d.ask(http.MethodGet, "/v1/no-such-route", ""); status != http.StatusNotFound {
		t.Errorf("a route there is not: %d", status)
	}
}

func TestAnIDIsNeverAPath(t *testing.T) {
	d := newDesk(t)
	for _, id := range []string{"..%2f..%2fshiplock.db", "%2e%2e%2fshiplock.db", "sha256:..%2f..%2f" + strings.Repeat("a", 60), "sha256:" + strings.Repeat("A", 64), "%00", strings.Repeat("a", 5000)} {
		for _, c := range []struct{ method, path string }{
			{http.MethodHead, "/v1/artifacts/" + id},
			{http.MethodPut, "/v1/artifacts/" + id},
			{http.MethodGet, "/v1/runs/" + id},
			{http.MethodGet, "/v1/runs/" + id + "/events"},
		} {
			status, text, _ := d.ask(c.method, c.path, "PK")
			if status != http.StatusUnprocessableEntity && status != http.StatusNotFound {
				t.Errorf("%s %.80s: %d %.200s", c.method, c.path, status, text)
			}
		}
	}
	env := `{"id":{"app":"shop","name":"production"},"database":{"kind":"sqlite","url":"x","backup":{"kind":"dump"}}}`
	for _, path := range []string{"../../etc/passwd", "backup", ""} {
		status, text, f := d.ask(http.MethodPost, "/v1/restores", `{"environment":`+env+`,"preview":true,"path":"`+path+`"}`)
		if status != http.StatusUnprocessableEntity || !strings.Contains(f.Message, "is not absolute") {
			t.Errorf("restore of %q: %d %s", path, status, text)
		}
	}
}

func TestFailuresHaveTheStatusOfTheirKind(t *testing.T) {
	d := newDesk(t)
	for path, want := range map[string]int{
		"/v1/runs/d-9":                        http.StatusNotFound,
		"/v1/logs?app=shop&env=nowhere":       http.StatusNotFound,
		"/v1/status?app=shop":                 http.StatusOK,
		"/v1/runs?limit=x":                    http.StatusOK,
		"/v1/runs?app=' OR 1=1 --&limit=-1":   http.StatusOK,
		"/v1/runs/d-1' OR '1'='1":             http.StatusNotFound,
		"/v1/releases?app=shop' OR '1'='1":    http.StatusOK,
		"/v1/environments?app=shop;DROP runs": http.StatusOK,
	} {
		path = strings.NewReplacer(" ", "%20", "'", "%27", ";", "%3B").Replace(path)
		if status, text, _ := d.ask(http.MethodGet, path, ""); status != want {
			t.Errorf("%s: %d, want %d: %.200s", path, status, want, text)
		}
	}
}

func TestASecondRunOfAnEnvironmentIsToldWhoHasIt(t *testing.T) {
	d := newDesk(t)
	if _, err := d.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: "sha256:1"}}); err != nil {
		t.Fatal(err)
	}
	const ask = `{"verb":"deploy","environment":{"id":{"app":"shop","name":"production"}},"release":1,"by":"ann"}`
	if status, text, _ := d.ask(http.MethodPost, "/v1/runs", ask); status != http.StatusOK || len(d.started) != 1 {
		t.Fatalf("the first: %d %s, started %v", status, text, d.started)
	}
	status, _, f := d.ask(http.MethodPost, "/v1/runs", ask)
	if status != http.StatusConflict || f.Kind != ship.Locked || !strings.Contains(f.Message, "by ann") || len(d.started) != 1 {
		t.Errorf("the second: %d %+v, started %v", status, f, d.started)
	}
	if status, _, f := d.ask(http.MethodPost, "/v1/runs/d-1/signals", `{"name":"explode","by":"bob"}`); status != http.StatusUnprocessableEntity || f.Kind != ship.Invalid {
		t.Errorf("a signal there is not: %d %+v", status, f)
	}
}

func TestNothingIsPrunedWhereItIsNotKnownWhatRuns(t *testing.T) {
	d := newDesk(t)
	for _, digest := range []string{"sha256:1", "sha256:2"} {
		if _, err := d.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: digest}}); err != nil {
			t.Fatal(err)
		}
	}
	const ask = `{"verb":"deploy","environment":{"id":{"app":"shop","name":"production"}},"release":2,"by":"ann"}`
	if status, text, _ := d.ask(http.MethodPost, "/v1/runs", ask); status != http.StatusOK {
		t.Fatal(text)
	}
	for _, body := range []string{`{"app":"shop","keep":0}`, `{"keep":3}`} {
		if status, _, f := d.ask(http.MethodPost, "/v1/releases/prune", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %+v", body, status, f)
		}
	}
	d.away = true
	status, _, f := d.ask(http.MethodPost, "/v1/releases/prune", `{"app":"shop","keep":1}`)
	if status != http.StatusBadGateway || !strings.Contains(f.Message, "nothing was deleted") {
		t.Errorf("without a node: %d %+v", status, f)
	}
}

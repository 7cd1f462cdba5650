package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/load"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func open(t *testing.T, settings string) *load.Gate {
	t.Helper()
	var cfg load.Config
	if err := plugin.Decode(json.RawMessage(settings), &cfg); err != nil {
		t.Fatal(err)
	}
	g, err := load.New(cfg, plugin.Deps{Resolve: func(v ship.Value) (ship.Secret, error) {
		return ship.NewSecret(strings.ReplaceAll(string(v), "${secret:T}", "token")), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// serves is a candidate that answers so.
func serves(t *testing.T, h http.HandlerFunc) gate.Candidate {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := gatetest.Candidate(t)
	c.Targets, c.Host = []string{s.URL}, "shop.test"
	return c
}

func well(http.ResponseWriter, *http.Request) {}

// brief is a load that is over soon. Its limits leave room for a slow machine.
const brief = `"users":4,"spawn_rate":1000,"for":"500ms","p95":"1m"`

func TestLoad(t *testing.T) {
	gatetest.Run(t, gatetest.Harness{
		Pass: func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, `{`+brief+`}`), serves(t, well) },
		Fail: func(t *testing.T) (gate.Gate, gate.Candidate) {
			return open(t, `{`+brief+`}`), serves(t, http.NotFound)
		},
		Broken: func(t *testing.T) (gate.Gate, gate.Candidate) {
			return open(t, `{`+brief+`}`), gatetest.Candidate(t)
		},
	})
}

func TestEachLimitIsJudged(t *testing.T) {
	var n atomic.Int64
	sometimes := func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	slow := func(http.ResponseWriter, *http.Request) { <-time.After(20 * time.Millisecond) }
	for _, tt := range []struct {
		name, settings string
		h              http.HandlerFunc
		want           ship.Outcome
		says           string
	}{
		{"too many fail", brief, sometimes, ship.Fail, "times 502, for example GET /"},
		{"so many may fail", brief + `,"error_rate":"30%"`, sometimes, ship.Pass, "failed "},
		{"the 95th is too slow", strings.Replace(brief, `"1m"`, `"5ms"`, 1), slow, ship.Fail, "> 5ms"},
		{"the 99th is", brief + `,"p99":"5ms"`, slow, ship.Fail, "p99 "},
		{"half of them are", brief + `,"p50":"5ms"`, slow, ship.Fail, "p50 "},
		{"nobody answers in time", brief + `,"timeout":"20ms"`, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ship.Fail, "times timeout"},
		{"too few to tell", `"users":1,"think":"1h","for":"500ms"`, well, ship.NoConclusion, "p95 of 1 requests proves nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := open(t, `{`+tt.settings+`}`).Judge(t.Context(), serves(t, tt.h))
			if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
				t.Errorf("%+v, %v; want %s with %q", v, err, tt.want, tt.says)
			}
		})
	}
}

func TestAnOpenLoadKeepsItsRate(t *testing.T) {
	var asked atomic.Int64
	v, err := open(t, `{"rate":100,"for":"1s","p95":"1m"}`).Judge(t.Context(), serves(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-time.After(50 * time.Millisecond) // one user at a time would not be asked for 100
	}))
	if err != nil || v.Outcome != ship.Pass || asked.Load() < 50 || asked.Load() > 101 {
		t.Errorf("%d requests; %+v, %v", asked.Load(), v, err)
	}
}

func TestPathsAreAskedByWeightWithBodiesAndSecrets(t *testing.T) {
	var pages, orders atomic.Int64
	c := serves(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.test" || r.Header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("host %s, %v", r.Host, r.Header)
		}
		if r.URL.Path != "/orders" {
			pages.Add(1)
			return
		}
		orders.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer token" || !strings.HasPrefix(string(body), `{"id":"`) {
			t.Errorf("%s %v %s", r.Method, r.Header, body)
		}
	})
	v, err := open(t, `{`+brief+`,"paths":[{"path":"/products?page=2","weight":3},{"path":"/orders","body":"{\"id\":\"$ID\"}","headers":{"Authorization":"Bearer ${secret:T}"}}]}`).Judge(t.Context(), c)
	if err != nil || v.Outcome != ship.Pass || orders.Load() == 0 || pages.Load() < 2*orders.Load() {
		t.Errorf("%d pages and %d orders; %+v, %v", pages.Load(), orders.Load(), v, err)
	}
}

func TestTheReportHasFiguresFailuresAndALineOverTime(t *testing.T) {
	var told atomic.Int64
	c := serves(t, http.NotFound)
	c.Progress = func(text string, figures ...ship.Figure) {
		if told.Add(1); !strings.Contains(text, "of 4s: p95 ") || len(figures) == 0 {
			t.Errorf("%s %+v", text, figures)
		}
	}
	v, err := open(t, `{"users":2,"for":"4s","think":"1ms-5ms"}`).Judge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := v.Report
	if told.Load() == 0 || len(r.Series) != 3 || len(r.Series[0].Values) < 2 || r.Series[0].Every != time.Second {
		t.Errorf("told %d times, series %+v", told.Load(), r.Series)
	}
	if f := r.Figures[0]; f.Name != "failed requests" || f.Value != 100 || !f.Broken() {
		t.Errorf("%+v", r.Figures)
	}
	if i := r.Items; len(i) != 1 || i[0].Title != "404" || i[0].Count == 0 || i[0].Where != "GET /" {
		t.Errorf("%+v", i)
	}
}

func TestACancelledLoadEndsAtOnceAndSendsNothingMore(t *testing.T) {
	arrived, gone := make(chan struct{}, 100), make(chan struct{}, 100)
	c := serves(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	g := open(t, `{"users":3,"spawn_rate":1000,"for":"50s","timeout":"1h"}`)
	go func() {
		_, err := g.Judge(ctx, c)
		ended <- err
	}()
	for range 3 {
		<-arrived
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 3 {
		<-gone
	}
	if len(arrived) > 0 {
		t.Error("it went on")
	}
}

func TestALoadThatCannotEndInTimeIsNotBegun(t *testing.T) {
	c := serves(t, func(http.ResponseWriter, *http.Request) { t.Error("it was begun") })
	if _, err := open(t, `{"for":"2m"}`).Judge(t.Context(), c); ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), "the load lasts 2m0s, and the gate may take only 1m0s") {
		t.Errorf("%v", err)
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for settings, place := range map[string]string{
		`{"users":-1}`: "users", `{"users":100000}`: "users", `{"rate":1e9}`: "rate", `{"rate":5,"users":5}`: "rate", `{"rate":5,"think":"1s"}`: "rate",
		`{"spawn_rate":-1}`: "spawn_rate", `{"think":"3s-1s"}`: "think", `{"think":"long"}`: "think", `{"for":"-1s"}`: "for", `{"error_rate":"200%"}`: "error_rate",
		`{"paths":["x"]}`: "paths", `{"paths":[{"path":"/","weight":-1}]}`: "paths", `{"paths":[{"path":"/","method":"A B"}]}`: "paths", `{"paths":[{"path":"/","wait":1}]}`: "paths.0.wait",
		`{"p96":"1s"}`: "p96",
	} {
		var cfg load.Config
		err := plugin.Decode(json.RawMessage(settings), &cfg)
		if err == nil {
			_, err = load.New(cfg, plugin.Deps{})
		}
		if at, ok := errors.AsType[*plugin.SettingError](err); !ok || strings.Join(at.Path, ".") != place {
			t.Errorf("%s: %v, want a mistake of %s", settings, err, place)
		}
	}
}

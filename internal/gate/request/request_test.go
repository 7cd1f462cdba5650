package request_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/request"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// shop answers as an application would, and counts its orders.
func shop(t *testing.T) (url string, orders *atomic.Int64) {
	t.Helper()
	orders = new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "Welcome to %s", r.Host) })
	mux.HandleFunc("GET /admin", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"name":"lock","price":3.50,"tags":["a"]}],"more":null,"n":12345678}`)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		orders.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer secret T" || r.Header.Get("Content-Type") != "application/json" || string(body) != `{"n":1}` {
			t.Errorf("%v %s", r.Header, body)
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("GET /cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, orders
}

func open(t *testing.T, settings string) *request.Gate {
	t.Helper()
	var cfg request.Config
	if err := plugin.Decode(json.RawMessage(`{"requests":[`+settings+`]}`), &cfg); err != nil {
		t.Fatal(err)
	}
	g, err := request.New(cfg, plugin.Deps{Resolve: func(v ship.Value) (ship.Secret, error) {
		return ship.NewSecret(strings.ReplaceAll(string(v), "${secret:T}", "secret T")), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func asks(settings string) func(*testing.T) (gate.Gate, gate.Candidate) {
	return func(t *testing.T) (gate.Gate, gate.Candidate) {
		c := gatetest.Candidate(t)
		url, _ := shop(t)
		c.Targets, c.Host = []string{url}, "shop.test"
		return open(t, settings), c
	}
}

func TestRequest(t *testing.T) {
	gatetest.Run(t, gatetest.Harness{
		Pass:   asks(`"/"`),
		Fail:   asks(`"/nowhere"`),
		Broken: func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, `"/"`), gatetest.Candidate(t) },
	})
}

func TestAnswersAreComparedWithWhatTheyShouldBe(t *testing.T) {
	const order = `{"path":"/orders","body":"{\"n\":1}","headers":{"authorization":"Bearer ${secret:T}"}`
	for _, tt := range []struct{ name, settings, want string }{
		{"a path", `"/"`, ""},
		{"the host of the environment", `{"path":"/","text":"Welcome to shop.test"}`, ""},
		{"a text that is missing", `{"path":"/","text":"Goodbye"}`, `GET / was answered with 20 bytes that do not contain "Goodbye"`},
		{"a host of its own", `{"path":"/","text":"Welcome to other","headers":{"Host":"other"}}`, ""},
		{"a redirect", `"/admin"`, `GET /admin was answered with status 302 to /login`},
		{"a redirect as it should be", `{"path":"/admin","status":302}`, ""},
		{"another status", `{"path":"/","status":204}`, "GET / was answered with status 200, not 204"},
		{"an order", order + `,"status":201}`, ""},
		{"values", `{"path":"/products","json":{"items.0.price":3.5,"$.items[0].name":"lock","more":null,"n":12345678,"items.0.tags":["a"]}}`, ""},
		{"another value", `{"path":"/products","json":{"items.0.price":4}}`, "GET /products was answered with 3.5 at items.0.price, not 4"},
		{"a number that is text", `{"path":"/products","json":{"n":"12345678"}}`, `was answered with 12345678 at n, not "12345678"`},
		{"no value", `{"path":"/products","json":{"items.1.price":4}}`, "has nothing at items.1.price"},
		{"no JSON", `{"path":"/","json":{"a":1}}`, "was not answered with JSON"},
		{"too slow", `{"path":"/slow","within":"50ms"}`, "GET /slow was not answered within 50ms"},
		{"cut off", `"/cut"`, "GET /cut was not answered: "},
		{"several", `"/nowhere", "/", "/cut"`, "GET /nowhere was answered with status 404, not one of 200 to 299; 2 of 3 requests failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c := asks(tt.settings)(t)
			v, err := g.Judge(t.Context(), c)
			if err != nil || (v.Outcome == ship.Pass) != (tt.want == "") || !strings.Contains(v.Reason, tt.want) || len(v.Report.Figures) != 3 {
				t.Errorf("Judge() = %+v, %v; want %q", v, err, tt.want)
			}
		})
	}
}

func TestEveryInstanceIsAskedAndOnlyOneGetsAnOrder(t *testing.T) {
	first, orders := shop(t)
	second, more := shop(t)
	broken := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(broken.Close)
	c := gatetest.Candidate(t)
	c.Targets = []string{first, second}
	g := open(t, `"/", {"path":"/orders","body":"{\"n\":1}","headers":{"Authorization":"Bearer ${secret:T}"}}`)
	if v, err := g.Judge(t.Context(), c); err != nil || v.Outcome != ship.Pass || orders.Load() != 1 || more.Load() != 0 {
		t.Errorf("%+v, %v; %d and %d orders", v, err, orders.Load(), more.Load())
	}
	c.Targets = []string{first, broken.URL}
	v, err := g.Judge(t.Context(), c)
	if err != nil || v.Outcome != ship.Fail || v.Report.Items[0].Where != broken.URL {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestARunThatIsCancelledWaitsForNoAnswer(t *testing.T) {
	g, c := asks(`"/slow"`)(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if v, err := g.Judge(ctx, c); !errors.Is(err, context.DeadlineExceeded) || v.Outcome != "" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for settings, place := range map[string]string{
		``: "requests", `"x"`: "requests.0.path", `"//evil.test/"`: "requests.0.path", `"http://evil.test/"`: "requests.0.path", `"/", {"method":"PUT"}`: "requests.1.path",
		`{"path":"/","method":"get"}`: "requests.0.method", `{"path":"/","method":"G T"}`: "requests.0.method", `{"path":"/","status":20}`: "requests.0.status",
		`{"path":"/","code":200}`: "requests.0.code", `{"path":"/","within":"soon"}`: "requests.0.within", `7`: "requests.0",
	} {
		var cfg request.Config
		err := plugin.Decode(json.RawMessage(`{"requests":[`+settings+`]}`), &cfg)
		if err == nil {
			_, err = request.New(cfg, plugin.Deps{})
		}
		if at, ok := errors.AsType[*plugin.SettingError](err); !ok || strings.Join(at.Path, ".") != place {
			t.Errorf("%s: %v, want a mistake of %s", settings, err, place)
		}
	}
}

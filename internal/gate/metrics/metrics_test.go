package metrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/metrics"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A mock of Prometheus: it speaks the API of instant queries as that is
// documented, and has the values it is given by expression.
func prometheus(t *testing.T, values map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		result, known := values[r.PostFormValue("query")]
		switch {
		case r.URL.Path != "/api/v1/query" || r.Method != http.MethodPost:
			http.NotFound(w, r)
		case !known:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": parse error"}`)
		default:
			fmt.Fprintf(w, `{"status":"success","data":%s,"warnings":["a shard\u001b[31m did not answer"]}`, result)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func vector(values ...string) string {
	var list []string
	for i, v := range values {
		list = append(list, fmt.Sprintf(`{"metric":{"job":"shop","instance":"%d"},"value":[1435781451.781,%q]}`, i, v))
	}
	return `{"resultType":"vector","result":[` + strings.Join(list, ",") + `]}`
}

func open(t *testing.T, cfg metrics.Config) *metrics.Gate {
	t.Helper()
	g, err := metrics.New(cfg, plugin.Deps{Resolve: func(v ship.Value) (ship.Secret, error) { return ship.NewSecret("Bearer " + string(v)), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func asks(t *testing.T, query, is string) func(*testing.T) (gate.Gate, gate.Candidate) {
	return func(t *testing.T) (gate.Gate, gate.Candidate) {
		var c metrics.Comparison
		if err := json.Unmarshal([]byte(fmt.Sprintf("%q", is)), &c); err != nil {
			t.Fatal(err)
		}
		url := prometheus(t, map[string]string{
			"errors": vector("0.002"), "up": vector("1", "1"), "down": vector("1", "0", "0"), "one": `{"resultType":"scalar","result":[1,"3"]}`,
			"none": vector(), "nan": vector("NaN"), "inf": vector("+Inf"), "range": `{"resultType":"matrix","result":[]}`, "histogram": `{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}`,
		})
		return open(t, metrics.Config{URL: url + "/", Query: query, Is: c}), gatetest.Candidate(t)
	}
}

func TestMetrics(t *testing.T) {
	gatetest.Run(t, gatetest.Harness{Pass: asks(t, "errors", "< 0.01"), Fail: asks(t, "errors", "<0.002"), Broken: asks(t, "rate(", "< 1")})
}

func TestEveryValueIsCompared(t *testing.T) {
	for _, tt := range []struct {
		query, is string
		want      ship.Outcome
		says      string
	}{
		{"errors", "<= 0.002", ship.Pass, `"errors" of {instance="0", job="shop"} is 0.002, and must be <= 0.002; Prometheus warns: a shard did not answer`},
		{"up", "== 1", ship.Pass, `all 2 values of "up" are == 1`},
		{"down", ">= 1", ship.Fail, `of {instance="1", job="shop"} is 0, and must be >= 1; so are 1 more of 3`},
		{"one", "> 2", ship.Pass, `"one" is 3, and must be > 2`},
		{"inf", "< 1e9", ship.Fail, `is +Inf`},
		{"none", "< 1", ship.NoConclusion, `"none" has no value`},
		{"nan", "< 1", ship.NoConclusion, `is not a number`},
	} {
		g, c := asks(t, tt.query, tt.is)(t)
		v, err := g.Judge(t.Context(), c)
		if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
			t.Errorf("%s %s: %+v, %v; want %s with %s", tt.query, tt.is, v, err, tt.want, tt.says)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
	}
	for query, says := range map[string]string{"range": `type "matrix"`, "histogram": "histogram", "((": "bad_data: invalid parameter"} {
		g, c := asks(t, query, "< 1")(t)
		if _, err := g.Judge(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", query, err, says)
		}
	}
}

func TestHeadersAreResolvedWhenItIsAskedAndGoNowhereElse(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("A48 the header was sent to another server") }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer ${secret:P}" {
			t.Errorf("authorization %q", got)
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	g := open(t, metrics.Config{URL: s.URL, Query: "up", Is: metrics.Comparison{Sign: "<"}, Headers: map[string]ship.Value{"Authorization": "${secret:P}"}})
	if v, err := g.Judge(t.Context(), gatetest.Candidate(t)); err == nil || v.Outcome == ship.Pass {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestA49AnAnswerWithoutAnEndIsAnError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	_, err := open(t, metrics.Config{URL: s.URL, Query: "up", Is: metrics.Comparison{Sign: "<"}}).Judge(t.Context(), gatetest.Candidate(t))
	if err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("%v", err)
	}
}

func TestA44NoMetadataServiceIsAsked(t *testing.T) {
	g := open(t, metrics.Config{URL: "http://169.254.169.254/latest", Query: "up", Is: metrics.Comparison{Sign: "<"}})
	if _, err := g.Judge(t.Context(), gatetest.Candidate(t)); ship.KindOf(err) != ship.Unreachable || !strings.Contains(err.Error(), "no address of a server") {
		t.Errorf("%v", err)
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for settings, place := range map[string]string{
		`{"query":"up","is":"< 1"}`: "url", `{"url":"gopher://p","query":"up","is":"< 1"}`: "url", `{"url":"http://u:p@p","query":"up","is":"< 1"}`: "url",
		`{"url":"http://p?x=1","query":"up","is":"< 1"}`: "url", `{"url":"http://p","is":"< 1"}`: "query", `{"url":"http://p","query":"up"}`: "is",
		`{"url":"http://p","query":"up","is":"~ 1"}`: "is", `{"url":"http://p","query":"up","is":"< NaN"}`: "is", `{"url":"http://p","query":"up","is":"<"}`: "is",
		`{"url":"http://p","query":"up","is":"< 1","max":1}`: "max",
	} {
		var cfg metrics.Config
		err := plugin.Decode(json.RawMessage(settings), &cfg)
		if err == nil {
			_, err = metrics.New(cfg, plugin.Deps{})
		}
		if at, ok := errors.AsType[*plugin.SettingError](err); !ok || at.Path[0] != place {
			t.Errorf("%s: %v, want a mistake of %s", settings, err, place)
		}
	}
}

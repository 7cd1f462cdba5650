package report_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/analysis/report"
	"github.com/shiplock/shiplock/internal/ship"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// judged is the evidence of a release that fails for every twentieth request.
func judged(t *testing.T) analysis.Evidence {
	t.Helper()
	e := analysis.New(analysis.Config{
		Limits: ship.Limits{For: 10 * time.Minute, ErrorRate: 0.01, P95: 500 * time.Millisecond, Warmup: time.Second},
		Began:  noon, New: "v42", Old: "v41", Before: analysis.Before{Requests: 1790, Errors: 1},
	})
	var c analysis.Counts
	j := analysis.Judgement{Outcome: ship.Wait}
	for i := 1; !j.Ended(); i++ {
		c.Requests, c.Timed = c.Requests+1, c.Timed+1
		if i%20 == 0 {
			c.Errors, c.Counted, c.Slow = c.Errors+1, c.Counted+1, c.Slow+1
		}
		c.Latency = []analysis.Bucket{
			{Upper: 10 * time.Millisecond, N: int64(i) / 2},
			{Upper: 80 * time.Millisecond, N: int64(i) / 3},
			{Upper: 300 * time.Millisecond, N: int64(i) - int64(i)/2 - int64(i)/3},
		}
		j = e.Observe(analysis.Sample{At: noon.Add(time.Duration(i) * 50 * time.Millisecond), New: c, Crowd: analysis.Crowd{Clients: 3, Top: 0.5}})
	}
	ev := e.Evidence()
	ev.Failures = []analysis.Failure{
		{At: noon.Add(time.Second), Method: "POST", Path: "/checkout", Status: 500, Took: 12 * time.Millisecond},
		{At: noon.Add(2 * time.Second), Method: "GET", Path: "/a|b`c<img src=x>\x1b[31m", Took: time.Second, Why: "no answer in 1s"},
		{At: noon.Add(3 * time.Second), Method: "POST", Path: "/checkout", Status: 502, Took: 3 * time.Millisecond},
	}
	ev.After = "0 of 40 requests failed on v41"
	return ev
}

func run() ship.Run {
	return ship.Run{
		ID: "d-118",
		Request: ship.Request{
			Environment: ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "prod"}}, Release: ship.Release{Number: 42},
		},
		Plan:   ship.Plan{Migrations: []ship.Migration{{ID: "0017_add_vat", Phase: ship.Expand}}},
		Result: ship.Result{Schema: ship.SchemaAhead, Next: "shiplock logs prod --run d-118"},
	}
}

func TestTheReportSaysAllThereIsToSay(t *testing.T) {
	entries := []ship.Entry{{Name: "shift", State: ship.StepUndone}, {Name: "migrate", State: ship.StepDone}}
	got := report.New(run(), entries, judged(t)).Markdown()
	const golden = "testdata/report.golden.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestWhatAStrangerAskedForSteersNoTerminalAndIsNoMarkup(t *testing.T) {
	got := report.New(run(), nil, judged(t)).Markdown()
	for _, bad := range []string{"\x1b", "<img", "a|b"} {
		if strings.Contains(strings.ReplaceAll(got, "`GET /a¦b'c<img src=x> [31m`", ""), bad) {
			t.Errorf("the report has %q:\n%s", bad, got)
		}
	}
}

func TestAReportIsFoundInTheJournalAndReplaysAsItWas(t *testing.T) {
	ev := judged(t)
	step, err := json.Marshal(map[string]any{"run": "d-118", "judged": ev})
	if err != nil {
		t.Fatal(err)
	}
	entries := []ship.Entry{{Name: "start", Evidence: json.RawMessage(`{"slot":"green"}`)}, {Name: "watch", Evidence: step}, {Name: "drain"}}
	found, ok := report.Find(entries)
	if !ok {
		t.Fatal("not found")
	}
	again := report.Again("d-118", found)
	if !again.Agrees || !again.Whole || again.Now.Outcome != ship.Fail || again.Samples < 5 {
		t.Errorf("%+v", again)
	}
	for i := range found.Trail.Samples {
		found.Trail.Samples[i].New.Counted = 0
		found.Trail.Samples[i].New.Errors = 0
	}
	if report.Again("d-118", found).Agrees {
		t.Error("a replay without any error agrees with a rollback")
	}
	if _, ok := report.Find(entries[:1]); ok {
		t.Error("found where there is none")
	}
}

func TestAReleaseThatIsNotProvenSaysSo(t *testing.T) {
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway}, Began: noon, New: "v42"})
	e.Observe(analysis.Sample{At: noon.Add(time.Minute)})
	r := report.New(run(), nil, e.Evidence())
	if r.Badge != "not proven" || !strings.Contains(r.Markdown(), "# v42 in shop/prod: promoted\n\n**Not proven**") {
		t.Errorf("badge %q:\n%s", r.Badge, r.Markdown())
	}
}

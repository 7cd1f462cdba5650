package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

const (
	inDev     = `"environment":{"id":{"app":"shop","name":"dev"}}`
	inStaging = `"environment":{"id":{"app":"shop","name":"staging"},"after":"dev","soak":3600000000000}`
)

// releases makes so many releases of the shop.
func (d *desk) releases(digests ...string) {
	d.t.Helper()
	for i, digest := range digests {
		r := ship.Release{App: "shop", Artifact: ship.Artifact{Digest: digest}, CreatedBy: "ann"}
		for _, id := range []string{"0001", "0002", "0003"}[:i+1] {
			r.Migrations = append(r.Migrations, ship.Migration{ID: id, Checksum: id})
		}
		if _, err := d.store.AddRelease(d.t.Context(), r); err != nil {
			d.t.Fatal(err)
		}
	}
}

// posted makes a request that has to succeed, and decodes the answer.
func posted[T any](d *desk, path, body string) (v T) {
	d.t.Helper()
	status, text, _ := d.ask(http.MethodPost, path, body)
	if err := json.Unmarshal([]byte(text), &v); status != http.StatusOK || err != nil {
		d.t.Fatalf("%s: %d, %v: %s", path, status, err, text)
	}
	return v
}

// passes has a run end well, as the engine would record it.
func (d *desk) passes(run ship.Run) {
	d.t.Helper()
	if err := d.store.AddDeployed(d.t.Context(), run); err != nil {
		d.t.Fatal(err)
	}
	if err := d.store.SetStatus(d.t.Context(), run.ID, ship.Passed, ship.Result{Status: ship.Passed}); err != nil {
		d.t.Fatal(err)
	}
}

func TestAPromotionIsOfTheArtifactThatServesTheEnvironmentBefore(t *testing.T) {
	d := newDesk(t)
	d.releases("sha256:1", "sha256:2")
	const promote = `{"verb":"deploy","promote":true,` + inStaging + `,"by":"ann"`
	for _, path := range []string{"/v1/runs", "/v1/judgements"} {
		if status, _, f := d.ask(http.MethodPost, path, promote+`}`); status != http.StatusUnprocessableEntity || f.Kind != ship.Refused || !strings.Contains(f.Message, "nothing has served dev") {
			t.Errorf("%s before there is anything: %d %+v", path, status, f)
		}
	}
	d.passes(posted[ship.Run](d, "/v1/runs", `{"verb":"deploy",`+inDev+`,"release":2,"by":"ann"}`))
	j := posted[wire.Judged](d, "/v1/judgements", promote+`}`)
	if j.Release.Artifact.Digest != "sha256:2" || j.Outcome != ship.Wait || j.Kind != ship.Locked || time.Until(j.Until) < 59*time.Minute || !strings.Contains(j.Next, "--queue") {
		t.Errorf("judged %+v", j)
	}
	if j := posted[wire.Judged](d, "/v1/judgements", promote+`,"release":1}`); j.Outcome != ship.Fail || j.Kind != ship.Refused {
		t.Errorf("v1 is judged %+v", j)
	}
	if status, _, f := d.ask(http.MethodPost, "/v1/runs", promote+`}`); status != http.StatusConflict || f.Kind != ship.Locked {
		t.Errorf("before it has soaked: %d %+v", status, f)
	}
	run := posted[ship.Run](d, "/v1/runs", promote+`,"queue":true,"key":"k"}`)
	again := posted[ship.Run](d, "/v1/runs", promote+`,"queue":true,"key":"k"}`)
	if run.Status != ship.Queued || again.ID != run.ID || run.Request.From != "dev" || run.Request.Release.Artifact.Digest != "sha256:2" {
		t.Errorf("%s is %s, from %q, of %s; again %s", run.ID, run.Status, run.Request.From, run.Request.Release.Artifact.Digest, again.ID)
	}
	if status, _, f := d.ask(http.MethodPost, "/v1/runs/"+run.ID+"/signals", `{"name":"resume","by":"bob"}`); status != http.StatusUnprocessableEntity || !strings.Contains(f.Message, "waits for its turn") {
		t.Errorf("resume of what waits: %d %+v", status, f)
	}
	posted[ship.Run](d, "/v1/runs/"+run.ID+"/signals", `{"name":"cancel","by":"bob"}`)
	if now, err := d.store.Run(t.Context(), run.ID); err != nil || now.Status != ship.Aborted || !strings.Contains(now.Result.Reason, "bob") || now.Result.Serving != 0 {
		t.Errorf("after its abort: %+v, %v", now, err)
	}
	if len(d.started) != 1 {
		t.Errorf("runs %v were started, want the first alone", d.started)
	}
}

func TestALockIsShownAndRefusesAllButTheWayBack(t *testing.T) {
	d := newDesk(t)
	d.releases("sha256:1", "sha256:2")
	d.passes(posted[ship.Run](d, "/v1/runs", `{"verb":"deploy",`+inDev+`,"release":1,"by":"ann"}`))
	d.passes(posted[ship.Run](d, "/v1/runs", `{"verb":"deploy",`+inDev+`,"release":2,"by":"ann"}`))
	for body, why := range map[string]string{
		`{` + inDev + `}`: "unknown field", `{"environment":{"app":"shop"},"reason":"x"}`: "no environment is named",
		`{"environment":{"app":"shop","name":"dev"},"reason":"x\nshop/dev: unlocked"}`: "one line", `{"environment":{"app":"shop","name":"dev"},"reason":"` + strings.Repeat("x", 501) + `"}`: "one line",
		`{"environment":{"app":"shop","name":"dev"},"reason":" "}`: "needs a reason", `{"environment":{"app":"shop","name":"dev"},"reason":"x","for":-1}`: "up to a year",
	} {
		if status, _, f := d.ask(http.MethodPost, "/v1/locks", body); status != http.StatusUnprocessableEntity || !strings.Contains(f.Message, why) {
			t.Errorf("%s: %d %+v", body, status, f)
		}
	}
	const lock = `{"environment":{"app":"shop","name":"%"},"reason":"the sale","by":"dana","for":3600000000000}`
	l := posted[wire.Lock](d, "/v1/locks", strings.Replace(lock, "%", "dev", 1))
	if !l.Locked || l.Until.Sub(l.At) != time.Hour {
		t.Errorf("locked %+v", l)
	}
	posted[wire.Lock](d, "/v1/locks", strings.Replace(lock, "%", "production", 1)) // was never deployed to
	for _, verb := range []string{`"deploy"`, `"migrate","options":{"contract":true}`} {
		if status, _, f := d.ask(http.MethodPost, "/v1/runs", `{"verb":`+verb+`,`+inDev+`,"release":2,"by":"ann"}`); status != http.StatusConflict || !strings.Contains(f.Message, "dana: the sale") || !strings.Contains(f.Hint, "shiplock unlock dev") {
			t.Errorf("%s: %d %+v", verb, status, f)
		}
	}
	var all []wire.EnvironmentStatus
	if _, text, _ := d.ask(http.MethodGet, "/v1/status?app=shop", ""); json.Unmarshal([]byte(text), &all) != nil || len(all) != 2 || all[0].Lock == nil || all[1].Lock == nil || all[1].ID.Name != "production" {
		t.Errorf("status: %+v", all)
	}
	if run := posted[ship.Run](d, "/v1/runs", `{"verb":"rollback",`+inDev+`,"by":"ann"}`); run.Status != ship.Planned || run.Request.Release.Number != 1 {
		t.Errorf("a rollback is %s", run.Status)
	}
	for _, want := range []bool{true, false} {
		if l := posted[wire.Lock](d, "/v1/locks/release", `{"environment":{"app":"shop","name":"dev"},"by":"bob"}`); l.Locked != want || want && l.Reason != "the sale" {
			t.Errorf("unlocked: %+v", l)
		}
	}
}

func TestWhatWaitsIsShownBesideTheRunThatHasTheEnvironment(t *testing.T) {
	d := newDesk(t)
	d.releases("sha256:1", "sha256:2")
	first := posted[ship.Run](d, "/v1/runs", `{"verb":"deploy",`+inDev+`,"release":1,"by":"ann"}`)
	second := posted[ship.Run](d, "/v1/runs", `{"verb":"deploy",`+inDev+`,"release":2,"by":"bob","queue":true}`)
	var all []wire.EnvironmentStatus
	if _, text, _ := d.ask(http.MethodGet, "/v1/status?app=shop&env=dev", ""); json.Unmarshal([]byte(text), &all) != nil || len(all) != 1 {
		t.Fatal(text)
	}
	if s := all[0]; s.Open == nil || s.Open.ID != first.ID || s.Queued == nil || s.Queued.ID != second.ID || !strings.Contains(s.Queued.Result.Reason, first.ID) {
		t.Errorf("open %+v, queued %+v", s.Open, s.Queued)
	}
}

func TestReleasesAreToldWithWhatChanged(t *testing.T) {
	d := newDesk(t)
	d.releases("sha256:1", "sha256:2", "sha256:3")
	for i, vars := range []string{`{"WORKERS":"1","KEY":"${secret:KEY}"}`, `{"WORKERS":"2","KEY":"${secret:KEY}"}`} {
		body := strings.Replace(`{"verb":"deploy",`+inDev+`,"release":%,"by":"ann"}`, "%", []string{"1", "2"}[i], 1)
		d.passes(posted[ship.Run](d, "/v1/runs", strings.Replace(body, `"dev"}`, `"dev"},"vars":`+vars, 1)))
	}
	var all []wire.Told
	if status, text, _ := d.ask(http.MethodGet, "/v1/releases/told?app=shop", ""); status != http.StatusOK || json.Unmarshal([]byte(text), &all) != nil || len(all) != 3 {
		t.Fatal(text)
	}
	if r := all[0]; r.Number != 3 || r.Since != 2 || len(r.Added) != 1 || r.Added[0] != "0003" || len(r.Set) != 0 {
		t.Errorf("v3: %+v", r)
	}
	if r := all[1]; len(r.Set) != 1 || r.Set[0].Environment != "dev" || len(r.Set[0].Names) != 1 || r.Set[0].Names[0] != "vars.WORKERS" {
		t.Errorf("v2: settings %+v, want the name of one", r.Set)
	}
	if r := all[2]; r.Since != 0 || len(r.Added) != 0 {
		t.Errorf("v1: %+v, want nothing before it", r)
	}
}

package api_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/api"
	"github.com/shiplock/shiplock/internal/audit"
	"github.com/shiplock/shiplock/internal/ship"
)

const shopProduction = `"environment":{"id":{"app":"shop","name":"production"},"database":{"kind":"sqlite","url":"x","backup":{"kind":"dump"}}}`

// changes are the requests that ask for a change, and the action the audit log
// has for each. Routes that change nothing a person could miss have none.
var changes = []struct{ route, path, body, action string }{
	{"POST /v1/releases", "/v1/releases", `{"app":"shop","digest":"DIGEST","by":"ann"}`, "release"},
	{"POST /v1/releases/prune", "/v1/releases/prune", `{"app":"shop","keep":9}`, "prune"},
	{"POST /v1/releases/prune", "/v1/releases/prune", `{"app":"shop","keep":9,"dry_run":true}`, ""},
	{"POST /v1/runs", "/v1/runs", `{"verb":"deploy",` + shopProduction + `,"release":1,"by":"ann","reason":"Friday"}`, "deploy"},
	{"POST /v1/runs/{id}/signals", "/v1/runs/d-1/signals", `{"name":"cancel","by":"ann"}`, "cancel"},
	{"POST /v1/mode", "/v1/mode", `{` + shopProduction + `,"change":{"mode":"maintenance"},"by":"ann"}`, "mode"},
	{"POST /v1/backups", "/v1/backups", `{` + shopProduction + `}`, "backup"},
	{"POST /v1/restores", "/v1/restores", `{` + shopProduction + `,"path":"/x"}`, "restore"},
	{"POST /v1/restores", "/v1/restores", `{` + shopProduction + `,"path":"/x","preview":true}`, ""},
	{"POST /v1/migrations/resolve", "/v1/migrations/resolve", `{` + shopProduction + `,"migration":"0001","as":"applied","by":"ann"}`, "resolve"},
	{"POST /v1/backfills", "/v1/backfills", `{` + shopProduction + `,"release":1,"pause":true,"by":"ann"}`, "pause backfill"},
	{"POST /v1/backfills", "/v1/backfills", `{` + shopProduction + `,"release":1}`, ""},
	{"POST /v1/trash", "/v1/trash", `{` + shopProduction + `,"undrop":true,"what":"orders.note","by":"ann"}`, "undrop"},
	{"POST /v1/trash", "/v1/trash", `{` + shopProduction + `,"purge":true,"by":"ann"}`, "purge"},
	{"POST /v1/trash", "/v1/trash", `{` + shopProduction + `}`, ""},
	{"POST /v1/migrations", "/v1/migrations", `{` + shopProduction + `,"release":1}`, ""},
	{"POST /v1/plans", "/v1/plans", `{"verb":"deploy",` + shopProduction + `,"release":1}`, ""},
	{"POST /v1/judgements", "/v1/judgements", `{"verb":"deploy",` + shopProduction + `,"release":1}`, ""},
	{"POST /v1/locks", "/v1/locks", `{"environment":{"app":"shop","name":"production"},"reason":"sale","by":"ann"}`, "lock"},
	{"POST /v1/locks/release", "/v1/locks/release", `{"environment":{"app":"shop","name":"production"},"by":"ann"}`, "unlock"},
	{"POST /v1/rehearsals", "/v1/rehearsals", `{` + shopProduction + `,"release":1}`, ""}, // on a copy
	{"POST /v1/backups/list", "/v1/backups/list", `{` + shopProduction + `}`, ""},
	{"POST /v1/drift", "/v1/drift", `{` + shopProduction + `}`, ""},
	{"PUT /v1/artifacts/{digest}", "/v1/artifacts/sha256:" + strings.Repeat("a", 64), "PK", ""}, // nothing is made of it yet
}

func (d *desk) log() []audit.Entry {
	d.t.Helper()
	_, text, _ := d.ask(http.MethodGet, "/v1/audit", "")
	var all []audit.Entry
	var chain audit.Chain
	for dec := json.NewDecoder(strings.NewReader(text)); dec.More(); {
		var e audit.Entry
		if err := dec.Decode(&e); err != nil {
			d.t.Fatal(err)
		}
		if err := chain.Add(e); err != nil {
			d.t.Error(err)
		}
		all = append(all, e)
	}
	return all
}

func TestWhoeverAsksForAChangeIsInTheAuditLogBeforeAndAfter(t *testing.T) {
	d := newDesk(t)
	if _, err := d.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: "sha256:1"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		before := len(d.log())
		method, _, _ := strings.Cut(c.route, " ")
		_, text, _ := d.ask(method, c.path, c.body)
		wrote := d.log()[before:]
		if c.action == "" {
			if len(wrote) > 0 {
				t.Errorf("%s %s changes nothing and wrote %+v", c.path, c.body, wrote)
			}
			continue
		}
		if len(wrote) != 2 || wrote[0].Outcome != audit.Asked || !strings.HasPrefix(wrote[1].Outcome, "answers ") {
			t.Errorf("%s %s: %+v (%s)", c.path, c.body, wrote, text)
			continue
		}
		for _, e := range wrote {
			if e.Action != c.action || e.App != "shop" || (c.action != "prune" && c.action != "release") && e.Env != "production" || e.Actor != "unknown" {
				t.Errorf("%s %s: %+v", c.path, c.body, e)
			}
		}
	}
	if !slices.ContainsFunc(d.log(), func(e audit.Entry) bool {
		return e.Action == "deploy" && strings.Contains(e.Detail, `v1 sha256:1 reason "Friday"`)
	}) {
		t.Error("what was to be deployed, and why, is not there")
	}
}

// A new route that changes something has to be listed, which is to decide
// whether it is in the log.
func TestEveryRouteThatIsNotReadingIsDecidedUpon(t *testing.T) {
	for _, route := range api.Routes() {
		if strings.HasPrefix(route, "GET ") || strings.HasPrefix(route, "HEAD ") {
			continue
		}
		if !slices.ContainsFunc(changes, func(c struct{ route, path, body, action string }) bool { return c.route == route }) {
			t.Errorf("nobody has decided whether %s is in the audit log", route)
		}
	}
}

func TestA57NobodyForgesALineOfTheAuditLog(t *testing.T) {
	d := newDesk(t)
	if _, err := d.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: "sha256:1"}}); err != nil {
		t.Fatal(err)
	}
	forged := "x\n{\"seq\":2,\"actor\":\"root\",\"outcome\":\"asked\"}\n\x1b[2K"
	body, err := json.Marshal(map[string]any{
		"verb": "deploy", "release": 1, "by": forged, "reason": forged,
		"environment": map[string]any{"id": map[string]string{"app": "shop", "name": "production"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, text, _ := d.ask(http.MethodPost, "/v1/runs", string(body)); status != http.StatusOK {
		t.Fatal(text)
	}
	_, text, _ := d.ask(http.MethodGet, "/v1/audit", "")
	if n := strings.Count(text, "\n"); n != 2 || strings.Contains(text, "\x1b") {
		t.Errorf("%d lines: %q", n, text)
	}
	for _, e := range d.log() {
		if e.Actor != "unknown" || e.Says != forged {
			t.Errorf("%+v", e)
		}
	}
}

// breakAudit has every entry refused, by the database itself, until it is
// mended.
func (d *desk) breakAudit() (mend func()) {
	d.t.Helper()
	do := func(statement string) {
		d.t.Helper()
		db, err := sql.Open("sqlite", "file:"+filepath.Join(d.dir, "shiplock.db")+"?_pragma=busy_timeout(10000)")
		if err == nil {
			_, err = db.ExecContext(d.t.Context(), statement)
			err = errors.Join(err, db.Close())
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	do("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'the disk is full'); END")
	return func() { do("DROP TRIGGER broken") }
}

func TestWithoutAnAuditLogNothingIsChangedButARollbackGoesOn(t *testing.T) {
	d := newDesk(t)
	rel, err := d.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: "sha256:1"}})
	if err != nil {
		t.Fatal(err)
	}
	env := ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}}
	run, err := d.store.AddRun(t.Context(), ship.Request{Verb: ship.VerbDeploy, Environment: env, Release: rel}, ship.Plan{Schema: ship.PlanSchema})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.store.AddDeployed(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := d.store.SetStatus(t.Context(), run.ID, ship.Passed, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	mend := d.breakAudit()
	status, text, _ := d.ask(http.MethodPost, "/v1/runs", `{"verb":"deploy",`+shopProduction+`,"release":1}`)
	if status != http.StatusInternalServerError || !strings.Contains(text, "nothing was changed: write the audit log") || len(d.started) > 0 {
		t.Errorf("a deployment: %d %s, started %v", status, text, d.started)
	}
	if status, text, _ := d.ask(http.MethodPost, "/v1/runs", `{"verb":"rollback",`+shopProduction+`,"release":1,"by":"ann"}`); status != http.StatusOK || len(d.started) != 1 {
		t.Errorf("a rollback: %d %s, started %v", status, text, d.started)
	}
	mend()
	if status, text, _ := d.ask(http.MethodPost, "/v1/runs/"+d.started[0]+"/signals", `{"name":"cancel","by":"ann"}`); status != http.StatusOK {
		t.Error(text)
	}
	log := d.log()
	if len(log) != 3 || log[0].Action != ship.VerbRollback || log[0].Says != "ann" || log[1].Action != "cancel" {
		t.Errorf("what was owed is not there: %+v", log)
	}
}

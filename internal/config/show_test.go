package config_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

var update = flag.Bool("update", false, "write the golden files")

func TestShowWritesTheEffectiveConfiguration(t *testing.T) {
	f, err := config.Load("testdata/shiplock.yaml", known)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Show(environment(t, f, "staging"))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/staging.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.ReplaceAll(string(got), f.Dir, "/srv/shop")); diff != "" {
		t.Error(diff)
	}
}

func TestA51ShowHidesWhatStandsLiterallyWhereASecretBelongs(t *testing.T) {
	env := environment(t, parse(t, least), "prod")
	env.Vars = map[string]ship.Value{
		"DB_PASSWORD": "hunter21", "API_KEY": "x${secret:A}hunter22", "SECRET_KEY": "${secret:SECRET_KEY}",
		"CACHE_URL": "redis://:hunter23@cache/0", "NAME": "shop",
	}
	env.Database = &ship.Database{Kind: "postgres", URL: "postgres://app:hunter24@db/shop", Backup: ship.Backup{Key: "hunter25"}}
	env.Notify = []ship.Notify{{Plugin: ship.Plugin{Kind: "webhook", Config: json.RawMessage(
		`{"url":"https://u:hunter26@x","secret":"hunter27","headers":{"X-Token":"hunter28"},"list":["https://u:hunter29@x"]}`)}}}
	env.Run.Setup = []ship.Argv{{"psql", "postgres://app:hunter20@db/shop"}}
	data, err := config.Show(env)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Errorf("a password is shown:\n%s", data)
	}
	asJSON, err := config.ShowJSON(env)
	if err != nil || !json.Valid(asJSON) || strings.Contains(string(asJSON), "hunter2") {
		t.Errorf("as JSON: %v\n%s", err, asJSON)
	}
	for _, line := range []string{"NAME: shop", "SECRET_KEY: ${secret:SECRET_KEY}", "url: postgres://app:***@db/shop", "CACHE_URL: redis://:***@cache/0"} {
		if !strings.Contains(string(data), line+"\n") {
			t.Errorf("%q is missing:\n%s", line, data)
		}
	}
}

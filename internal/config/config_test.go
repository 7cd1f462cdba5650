package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/ship"
)

var known = config.Known{
	Platforms: []string{"process"},
	Tools:     []string{"django", "sqlfiles", "command"},
	Rules:     []string{"PG116", "PG801"},
	Gates:     []string{"command", "load"},
	Notifiers: []string{"webhook", "log"},
	Databases: []string{"postgres", "sqlite"},
}

// least is the least a file must say, with room for one more line.
const least = "app: shop\nrun: {processes: {web: serve}}\nenvironments: {prod: {}}\n"

func parse(t *testing.T, text string) *config.File {
	t.Helper()
	f, err := config.Parse("shiplock.yaml", []byte(text), "/srv/shop", known)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return f
}

func environment(t *testing.T, f *config.File, name string) ship.Environment {
	t.Helper()
	env, err := f.Environment(name)
	if err != nil {
		t.Fatalf("Environment(%q): %v", name, err)
	}
	return env
}

func example(t *testing.T) *config.File {
	t.Helper()
	f, err := config.Load("testdata/shiplock.yaml", known)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFileThatSaysTheLeastIsDecidedByDefaults(t *testing.T) {
	got := environment(t, parse(t, least), "prod")
	want := ship.Environment{
		ID:       ship.EnvironmentID{App: "shop", Name: "prod"},
		Platform: ship.Plugin{Kind: "process"},
		Route:    ship.Route{Listen: []string{"127.0.0.1:8080"}},
		Run: ship.RunSettings{Processes: map[string]ship.Process{
			"web": {Command: ship.Argv{"serve"}, Instances: 1, Grace: 10 * time.Second},
		}},
		Health: ship.Health{
			Path: "/", HealthyAfter: 3, Every: time.Second, Timeout: 5 * time.Second, GiveUp: 40 * time.Second,
		},
		Proxy: ship.Proxy{ResponseTimeout: time.Minute, KeepAlive: time.Second, MaxBody: 1 << 30, HoldMax: 1000},
		Watch: ship.Limits{
			For: 5 * time.Minute, ErrorRate: 0.01, Confidence: 0.999, Min: time.Minute, Warmup: 30 * time.Second, OnInconclusive: ship.Extend,
		},
		KeepOld: 15 * time.Minute,
		Drain:   30 * time.Second,

		LongLivedDrain: time.Minute,
		Hold:           20 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatConcernsTheWholeFileIsRead(t *testing.T) {
	f := example(t)
	if want := []string{"dev", "staging", "production"}; !slices.Equal(f.Environments(), want) {
		t.Errorf("Environments = %q, want %q", f.Environments(), want)
	}
	if want := []string{"tests/", "*.md"}; f.App != "shop" || f.Server != "ssh://deploy@shop.example" || !slices.Equal(f.Exclude, want) {
		t.Errorf("App %q, Server %q, Exclude %q", f.App, f.Server, f.Exclude)
	}
}

func TestAnEnvironmentSaysOverTheFileKeyByKey(t *testing.T) {
	got := environment(t, example(t), "staging")
	want := ship.Environment{
		ID:       ship.EnvironmentID{App: "shop", Name: "staging"},
		Platform: ship.Plugin{Kind: "process"},
		Branch:   "staging",
		After:    "dev",
		Auto:     true,
		Soak:     30 * time.Minute,
		Freeze: []ship.Freeze{
			{From: "2026-12-20 18:00", To: "2027-01-04 08:00", Zone: "Europe/Berlin", Reason: "holidays"},
			{From: "fri 16:00", To: "mon 08:00", Zone: "UTC", Reason: "weekend"},
			{From: "2026-11-27T00:00:00+01:00", To: "2026-11-28T00:00:00+01:00", Reason: "the busiest day"},
		},
		Route: ship.Route{Listen: []string{"127.0.0.1:8080"}, Hosts: []string{"staging.shop.test", "www.staging.shop.test"}},
		Run: ship.RunSettings{
			Python:  &ship.Python{Requirements: "requirements.txt", Interpreter: "python3.11"},
			Prepare: []ship.Argv{{"npm", "--prefix", "web", "run", "build"}},
			Setup:   []ship.Argv{{"python", "manage.py", "collectstatic", "--noinput"}, {"python", "-c", "print('$HOME')"}},
			Processes: map[string]ship.Process{
				"web":    {Command: ship.Argv{"gunicorn", "shop.wsgi", "--bind", "127.0.0.1:$PORT"}, Instances: 2, Grace: 30 * time.Second},
				"worker": {Command: ship.Argv{"python", "manage.py", "process_tasks"}, Instances: 1, Grace: 10 * time.Second},
				"beat":   {Command: ship.Argv{"celery", "beat"}, Instances: 1, Grace: 10 * time.Second},
			},
			Shared: []string{"media"},
			User:   "shop-staging",
		},
		Vars: map[string]ship.Value{
			"DJANGO_SETTINGS_MODULE": "shop.settings", "SECRET_KEY": "${secret:SECRET_KEY}", "WORKERS": "4", "DEBUG": "true",
		},
		Health: ship.Health{
			Path: "/healthz", Host: "shop.test", HealthyAfter: 5, Every: time.Second, Timeout: 5 * time.Second, GiveUp: 40 * time.Second,
		},
		Warmup: []string{"/", "/products"},
		Smoke:  []string{"/login"},
		Database: &ship.Database{
			Kind: "postgres", URL: "${secret:DATABASE_URL}", MigrateURL: "${secret:MIGRATE_URL}",
			Backup: ship.Backup{Kind: "dump", To: "file:///var/backups/shop", Key: "${secret:BACKUP_KEY}"},
		},
		Migrate: &ship.Migrate{
			Tool:  ship.Plugin{Kind: "django", Config: json.RawMessage(`{"database":"default","manage":"manage.py"}`)},
			Route: "hold", Timeout: 10 * time.Minute, LockTimeout: 5 * time.Second, LockRetry: 10 * time.Minute, ContractAfter: 28 * 24 * time.Hour,
			Trash:  ship.Trash{Keep: 14 * 24 * time.Hour, MaxSize: 2 << 30, Off: "nothing is lost here"},
			Ignore: []ship.Ignore{{Rule: "PG801", File: "0004_*.sql", Reason: "the table is read by nobody"}, {Rule: "PG116", Reason: "dropped by hand"}},
		},
		Gates: []ship.Gate{
			{Name: "e2e", Timeout: 10 * time.Minute, Running: true, Plugin: ship.Plugin{Kind: "command", Config: json.RawMessage(`{"run":["npm","run","test:e2e","--","--baseUrl=$SHIPLOCK_URL"]}`)}},
			{Name: "load", Timeout: 30 * time.Minute, Plugin: ship.Plugin{Kind: "load", Config: json.RawMessage(`{"for":"5m","paths":["/","/products"],"spawn_rate":10,"users":100}`)}},
		},
		Stages: []ship.Stage{{Percent: 10, For: time.Minute}, {Percent: 50, For: 5 * time.Minute}},
		Notify: []ship.Notify{
			{Plugin: ship.Plugin{Kind: "webhook", Config: json.RawMessage(`{"url":"${secret:WEBHOOK}"}`)}, On: []string{"rollback", "failure"}},
			{Plugin: ship.Plugin{Kind: "webhook", Config: json.RawMessage(`{"headers":{"X-Team":"shop"},"url":"https://hooks.example/x"}`)}},
			{Plugin: ship.Plugin{Kind: "log"}},
		},
		Proxy: ship.Proxy{
			TrustedProxies: []string{"10.0.0.0/8", "::1/128"}, ResponseTimeout: 90 * time.Second, KeepAlive: 2 * time.Second,
			MaxBody: 50 << 20, HoldMax: 200, Maintenance: "Back at noon.", AssetPath: "/static/", RateLimit: &ship.RateLimit{Requests: 20, Per: time.Second, Burst: 40},
		},
		Watch: ship.Limits{
			For: 10 * time.Minute, ErrorRate: 0.01, P95: 2 * time.Second, Confidence: 0.99, Min: 30 * time.Second,
			Warmup: 10 * time.Second, OnInconclusive: ship.HoldForAPerson,
		},
		KeepOld: 15 * time.Minute,
		Drain:   30 * time.Second,

		LongLivedDrain: 90 * time.Second,
		Hold:           20 * time.Second,
		SecretsFile:    "/etc/shop/staging.env",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEnvironmentMayEmptyWhatTheFileSays(t *testing.T) {
	f := example(t)
	production := environment(t, f, "production")
	if len(production.Notify) != 0 || len(production.Smoke) != 0 || !slices.Equal(production.Warmup, []string{"/"}) {
		t.Errorf("notify %v, smoke %v, warmup %v", production.Notify, production.Smoke, production.Warmup)
	}
	if got := environment(t, f, "dev").Database; got.Kind != "sqlite" || got.MigrateURL != "" || got.Backup.Kind != "none" {
		t.Errorf("database of dev: %+v", got)
	}
	dir, _ := filepath.Abs("testdata")
	if want := (&ship.TLS{Cert: dir + "/tls/cert.pem", Key: dir + "/tls/key.pem"}); !cmp.Equal(production.Route.TLS, want) {
		t.Errorf("TLS = %+v, want %+v", production.Route.TLS, want)
	}
	if production.Platform.Kind != "process" || string(production.Platform.Config) != `{"socket":"/run/shop/node.sock"}` {
		t.Errorf("platform = %+v", production.Platform)
	}
	if production.SecretsFile != dir+"/secrets.env" {
		t.Errorf("secrets file = %s", production.SecretsFile)
	}
}

func TestEnvironmentsDoNotShareWhatTheyMerge(t *testing.T) {
	f := example(t)
	before := environment(t, f, "staging")
	environment(t, f, "dev").Vars["DEBUG"] = "changed"
	environment(t, f, "production")
	if diff := cmp.Diff(before, environment(t, f, "staging")); diff != "" {
		t.Error(diff)
	}
}

func TestTheOldReleaseIsKeptAsLongAsItIsWatched(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"watch: {for: 1h}\n":                           2 * time.Hour, // it may be extended
		"watch: {for: 1h, on_inconclusive: promote}\n": time.Hour,
	} {
		if env := environment(t, parse(t, least+text), "prod"); env.KeepOld != want {
			t.Errorf("%s: keep_old = %s, want %s", text, env.KeepOld, want)
		}
	}
}

func TestTheKindOfDatabaseIsReadFromALiteralScheme(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://h/db": "postgres", "postgresql://u:${secret:PW}@h/db": "postgres", "sqlite:db.sqlite3": "sqlite", "file:x.db": "sqlite",
	} {
		env := environment(t, parse(t, least+"database: {url: '"+url+"'}\n"), "prod")
		if env.Database.Kind != want {
			t.Errorf("%s: kind %q, want %q", url, env.Database.Kind, want)
		}
	}
}

func TestAnUnknownEnvironmentIsNamedWithTheNearest(t *testing.T) {
	_, err := example(t).Environment("producton")
	if ship.KindOf(err) != ship.NotFound || !strings.Contains(ship.HintOf(err), "did you mean production?") {
		t.Errorf("error %v, hint %q", err, ship.HintOf(err))
	}
}

func TestA30AConfigurationThatIsNotAPlainFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "shiplock.yaml")
	if err := os.WriteFile(file, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := config.Load(file, known); err != nil || f.Dir != dir {
		t.Fatalf("Load: %v", err)
	}
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, say := range map[string]string{
		link: "symbolic link",
		dir + "/../" + filepath.Base(dir) + "/shiplock.yaml": "leads through ..",
		dir:                          "is not a file",
		"/dev/zero":                  "is not a file",
		large:                        "more than 1048576",
		filepath.Join(dir, "absent"): "there is no",
	} {
		if _, err := config.Load(path, known); ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), say) {
			t.Errorf("Load(%s) = %v, want %q", path, err, say)
		}
	}
}

func TestEveryProblemIsFoundByErrorsAs(t *testing.T) {
	_, err := config.Parse("shiplock.yaml", []byte(least+"helth: {}\nhold: 5\n"), "/", known)
	list, ok := errors.AsType[config.Errors](err)
	if !ok || len(list) != 2 || ship.KindOf(err) != ship.Invalid {
		t.Fatalf("error %#v", err)
	}
	first, _ := errors.AsType[*config.Error](err)
	want := &config.Error{
		File: "shiplock.yaml", Line: 4, Column: 1, Message: `unknown key "helth"`, Suggestion: `did you mean "health"?`,
		Snippet: "    3 │ environments: {prod: {}}\n    4 │ helth: {}\n      │ ^^^^^",
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsArePrintedWithLineAndCaret(t *testing.T) {
	text := "app: shop\nrun:\n  processes: {web: serve}\n  user: shop\nhelth: {path: /healthz, healthy_after: 3}\nenvironments: {prod: {}}\n"
	_, err := config.Parse("shiplock.yaml", []byte(text), "/", known)
	want := `shiplock.yaml:5:1: unknown key "helth"
    4 │   user: shop
    5 │ helth: {path: /healthz, healthy_after: 3}
      │ ^^^^^ did you mean "health"?
1 error. Schema: shiplock config schema`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

package demo_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/demo"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A double stands for the engine: it migrates, starts the real shop behind a
// real proxy and swaps, but its verdicts are told to it.
type double struct {
	t      *testing.T
	place  demo.Place
	ctx    context.Context
	shops  sync.WaitGroup
	target atomic.Pointer[url.URL]

	migrated  int
	loses     bool // a swap loses requests
	approves  bool // whatever is deployed passes
	forgets   bool // to take back what it says it took back
	deployed  []string
	listening net.Listener
}

func newDouble(t *testing.T) *double {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &double{t: t, listening: l, place: demo.Place{Dir: t.TempDir(), Listen: l.Addr().String()}}
	ctx, stop := context.WithCancel(context.Background())
	d.ctx = ctx
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(d.target.Load()) }}
	srv := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		stop()
		_ = srv.Close()
		<-served
		d.shops.Wait()
	})
	return d
}

func (d *double) Deploy(_ context.Context, dir string) (ship.Result, error) {
	name := filepath.Base(dir)
	d.deployed = append(d.deployed, name)
	f, err := config.Load(filepath.Join(dir, "shiplock.yaml"), config.Known{})
	if err != nil {
		return ship.Result{}, err
	}
	env, err := f.Environment(demo.Environment)
	if err != nil {
		return ship.Result{}, err
	}
	if name == "v5" && !d.approves {
		return ship.Result{}, ship.Errorf(ship.Refused, "shiplock plan", "v2, which serves, cannot live with 00003_drop_price")
	}
	d.migrate(env, dir)
	old := d.target.Load()
	d.target.Store(d.start(env.Run.Processes[ship.Web].Command))
	if d.loses && old != nil {
		d.target.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
		<-time.After(200 * time.Millisecond)
		d.target.Store(old)
	}
	if (name == "v3" || name == "v4") && !d.approves {
		<-time.After(500 * time.Millisecond)
		if !d.forgets {
			d.target.Store(old)
		}
		return ship.Result{Kind: ship.RolledBack, Reason: "3 of 50 requests failed"}, errors.New("rolled back")
	}
	return ship.Result{Status: ship.Passed}, nil
}

func (d *double) start(argv ship.Argv) *url.URL {
	d.t.Helper()
	if argv[0] != "$SHIPLOCK_BINARY" || argv[1] != "demo-shop" {
		d.t.Errorf("command is %q", argv)
	}
	args := slices.Clone(argv[2:])
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$PORT", "0")
	}
	o, err := demo.ParseShop(args)
	if err != nil {
		d.t.Fatal(err)
	}
	ready := make(chan string, 1)
	o.Ready = func(addr string) { ready <- addr }
	d.shops.Go(func() {
		if err := demo.Shop(d.ctx, o, slog.New(slog.DiscardHandler)); err != nil {
			d.t.Errorf("shop %s: %v", o.Release, err)
			ready <- "127.0.0.1:1"
		}
	})
	return &url.URL{Scheme: "http", Host: <-ready}
}

// migrate applies what the release has and the database has not.
func (d *double) migrate(env ship.Environment, dir string) {
	d.t.Helper()
	if env.Migrate.Tool.Kind != "sqlfiles" || env.Database.Kind != "sqlite" || string(env.Database.URL) != "sqlite:///"+d.place.DB() {
		d.t.Errorf("migrates %+v with %+v", env.Database, env.Migrate.Tool)
	}
	tool, err := sqlfiles.New(sqlfiles.Config{}, plugin.Deps{})
	if err != nil {
		d.t.Fatal(err)
	}
	all, err := tool.Files(os.DirFS(dir))
	if err != nil {
		d.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+d.place.DB()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	for ; d.migrated < len(all); d.migrated++ {
		if _, err := db.ExecContext(d.t.Context(), all[d.migrated].SQL); err != nil {
			d.t.Fatalf("migration %s: %v", all[d.migrated].ID, err)
		}
	}
}

func (d *double) run(t *testing.T, o demo.Options) (demo.Summary, string) {
	t.Helper()
	var out bytes.Buffer
	o.Place, o.Steady = d.place, 300*time.Millisecond
	s, err := demo.Run(t.Context(), o, d, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	var table bytes.Buffer
	if err := s.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	return s, out.String() + table.String()
}

func TestEveryClaimHoldsWhenTheEngineKeepsItsPromises(t *testing.T) {
	d := newDouble(t)
	s, text := d.run(t, demo.Options{})
	if !s.Held() || s.Deployments != 5 || s.Rollbacks != 2 || s.Refused != 1 || s.Lost != 0 || s.Requests == 0 {
		t.Errorf("summary %+v\n%s", s, text)
	}
	t.Log("\n" + text)
	if want := []string{"v1", "v2", "v3", "v4", "v5"}; !slices.Equal(d.deployed, want) {
		t.Errorf("deployed %v", d.deployed)
	}
	for _, want := range []string{"deploy v2", "requests saw the fault", "refused: v2, which serves", "held", "(model:", "5 deployments"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestTheSummaryIsOneObjectWithTheseKeys(t *testing.T) {
	d := newDouble(t)
	s, _ := d.run(t, demo.Options{Break: "migration"})
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var got struct {
		Deployments, Requests, Lost, Rollbacks, Refused *int
		Claims                                          []struct {
			Claim *string
			Held  *bool
		}
	}
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Deployments == nil || *got.Deployments != 3 || got.Requests == nil || got.Lost == nil || got.Rollbacks == nil ||
		got.Refused == nil || *got.Refused != 1 || len(got.Claims) != 4 || got.Claims[0].Claim == nil || got.Claims[0].Held == nil {
		t.Errorf("summary is %s", data)
	}
}

func TestALostRequestBreaksItsClaims(t *testing.T) {
	d := newDouble(t)
	d.loses = true
	s, text := d.run(t, demo.Options{Break: "migration"})
	if s.Held() || s.Lost == 0 || !strings.Contains(text, "BROKEN  no request lost") {
		t.Errorf("summary %+v\n%s", s, text)
	}
}

func TestABadReleaseThatPassesBreaksItsClaim(t *testing.T) {
	for _, fault := range []string{"errors", "slow", "migration"} {
		d := newDouble(t)
		d.approves = true
		s, text := d.run(t, demo.Options{Break: fault})
		if s.Held() || s.Rollbacks != 0 || s.Refused != 0 {
			t.Errorf("%s: summary %+v\n%s", fault, s, text)
		}
	}
}

func TestARollbackThatIsOnlySaidBreaksItsClaim(t *testing.T) {
	d := newDouble(t)
	d.forgets = true
	if s, text := d.run(t, demo.Options{Break: "slow"}); s.Held() || s.Rollbacks != 1 {
		t.Errorf("summary %+v\n%s", s, text)
	}
}

func TestADemonstrationThatCannotBeginSaysWhy(t *testing.T) {
	for what, o := range map[string]demo.Options{
		"folder": {Place: demo.Place{Dir: "relative", Listen: "127.0.0.1:1"}},
		"break":  {Place: demo.Place{Dir: t.TempDir(), Listen: "127.0.0.1:1"}, Break: "everything"},
		"engine": {Place: demo.Place{Dir: t.TempDir(), Listen: "127.0.0.1:1"}},
	} {
		if _, err := demo.Run(t.Context(), o, broken{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if (demo.Summary{}).Held() {
		t.Error("no claim at all counts as held")
	}
}

type broken struct{}

func (broken) Deploy(context.Context, string) (ship.Result, error) {
	return ship.Result{Kind: ship.Failed, Reason: "no node"}, errors.New("no node")
}

func TestTheShopRefusesArgumentsItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{}, {"--db", "x", "--fault", "fire"}, {"--db", "x", "more"}, {"--unknown"}, {"-h"}} {
		if _, err := demo.ParseShop(args); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestTheFaultsAreWhatTheyAreSaidToBe(t *testing.T) {
	d := newDouble(t)
	all, err := demo.Releases(d.place)
	if err != nil {
		t.Fatal(err)
	}
	for _, rel := range all[:3] {
		if _, err := d.Deploy(t.Context(), rel.Dir); err != nil && rel.Name != "v3" {
			t.Fatal(err)
		}
	}
	faulty := d.start(ship.Argv{"$SHIPLOCK_BINARY", "demo-shop", "--db", d.place.DB(), "--notes", "--fault", "errors"})
	count := map[int]int{}
	for i := range 100 {
		resp, err := http.Post(faulty.String()+"/orders", "application/json", strings.NewReader(fmt.Sprintf(`{"id":"%d","product":1}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		count[resp.StatusCode]++
		if resp, err = http.Get(faulty.String() + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("health: %v", err)
		} else {
			_ = resp.Body.Close()
		}
	}
	if count[http.StatusCreated] != 95 || count[http.StatusInternalServerError] != 5 {
		t.Errorf("answers %v", count)
	}
}

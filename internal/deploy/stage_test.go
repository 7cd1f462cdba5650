package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

// A stage has everything a run needs on one machine: a real store, a real
// SQLite database with files of SQL, and a platform that only keeps books.
type stage struct {
	t        *testing.T
	dir      string
	store    *store.Store
	platform *books
	channel  *channel
	journal  *journalist
	engine   *deploy.Engine
	gates    map[string]gate.Gate
	env      ship.Environment
	resolver func(ship.Environment) (deploy.Resolver, error)
}

func newStage(t *testing.T, change ...func(*stage)) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), channel: &channel{}}
	s.platform = &books{stage: s, slots: map[ship.Slot]platform.SlotStatus{}}
	s.resolver = func(ship.Environment) (deploy.Resolver, error) { return plain{}, nil }
	s.env = ship.Environment{
		ID:       ship.EnvironmentID{App: "shop", Name: "production"},
		Run:      ship.RunSettings{Processes: map[string]ship.Process{"worker": {Instances: 1}}},
		Database: &ship.Database{Kind: "sqlite", URL: ship.Value("sqlite:" + filepath.Join(s.dir, "shop.db")), Backup: ship.Backup{Kind: "dump"}},
		Migrate:  &ship.Migrate{Tool: ship.Plugin{Kind: "sqlfiles"}, Timeout: time.Minute},
		Drain:    time.Second, Hold: 10 * time.Second,
	}
	var err error
	if s.store, err = store.Open(t.Context(), filepath.Join(s.dir, "state")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	s.journal = &journalist{Store: s.store}
	for _, c := range change {
		c(s)
	}
	s.engine, err = deploy.New(deploy.Config{
		Journal: s.journal, Artifacts: folders{s}, Plugins: kinds{s}, Dir: s.dir, Key: bytes.Repeat([]byte{7}, 32), Holder: "test",
		Resolver: func(e ship.Environment) (deploy.Resolver, error) { return s.resolver(e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// release writes a release's files of SQL and records it; files are named
// "00001_init.sql" and hold "-- +goose Up" and so on.
func (s *stage) release(digest string, files map[string]string) ship.Release {
	s.t.Helper()
	dir := filepath.Join(s.dir, "releases", digest, "migrations")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	tool, err := sqlfiles.New(sqlfiles.Config{}, plugin.Deps{})
	if err != nil {
		s.t.Fatal(err)
	}
	ms, err := tool.Files(os.DirFS(filepath.Dir(dir)))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := s.store.AddRelease(s.t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: digest, Size: 1}, Migrations: ms})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// add records a run of a release.
func (s *stage) add(r ship.Release, change ...func(*ship.Request)) ship.Run {
	s.t.Helper()
	req := ship.Request{Verb: ship.VerbDeploy, Environment: s.env, Release: r, By: "ann"}
	for _, c := range change {
		c(&req)
	}
	run, err := s.store.AddRun(s.t.Context(), req, ship.Plan{Schema: ship.PlanSchema, Environment: s.env.ID, Verb: req.Verb, To: r, Steps: plan.Opening()})
	if err != nil {
		s.t.Fatal(err)
	}
	return run
}

// deploy adds a run and carries it to its end.
func (s *stage) deploy(r ship.Release, change ...func(*ship.Request)) ship.Result {
	s.t.Helper()
	return s.carry(s.add(r, change...).ID)
}

func (s *stage) carry(id string) ship.Result {
	s.t.Helper()
	result, err := s.engine.Carry(s.t.Context(), id)
	if err != nil {
		s.t.Fatalf("run %s: %v", id, err)
	}
	return result
}

// said returns the texts of a run's events of a type.
func (s *stage) said(run, kind string) string {
	s.t.Helper()
	events, err := s.store.Events(context.Background(), run, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range events {
		if e.Type == kind {
			b.WriteString(e.Step + ": " + e.Text + "\n")
		}
	}
	return b.String()
}

// exec changes the target database as the application would.
func (s *stage) exec(query string) {
	s.t.Helper()
	db := s.open()
	l, err := db.Lock(s.t.Context(), ship.Fence{Run: "app", Epoch: s.platform.epoch}, "app")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = l.Release(context.Background()) }()
	if err := l.Do(s.t.Context(), ship.Work{Statements: []string{query}, Atomic: true}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) open() database.Database {
	s.t.Helper()
	db, err := kinds{s}.Database(s.env.Database.Kind, database.Config{URL: ship.NewSecret(string(s.env.Database.URL))})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

// A journalist is the store, and lets a test act between two steps.
type journalist struct {
	*store.Store
	after  func(kind string)       // a step was done
	broken func(ship.Status) error // the end of a run cannot be recorded
	unsent bool                    // that a message was sent cannot be recorded
	lost   bool                    // nor that people were told
}

func (j *journalist) SetStatus(ctx context.Context, id string, status ship.Status, r ship.Result) error {
	if j.broken != nil && status.Ended() {
		return j.broken(status)
	}
	return j.Store.SetStatus(ctx, id, status, r)
}

// Note forgets the moment after a message was sent, as a crash would.
func (j *journalist) Note(ctx context.Context, run string, seq int, evidence any) error {
	if states, ok := evidence.(map[string]string); ok && j.unsent {
		for _, state := range states {
			if state == "sent" {
				return errors.New("killed")
			}
		}
	}
	return j.Store.Note(ctx, run, seq, evidence)
}

func (j *journalist) Settle(ctx context.Context, run string, seq int, state ship.StepState, evidence any, failure error, p *ship.Plan) error {
	if states, ok := evidence.(map[string]string); ok && j.lost && len(states) > 0 {
		return errors.New("killed")
	}
	if err := j.Store.Settle(ctx, run, seq, state, evidence, failure, p); err != nil || j.after == nil || state != ship.StepDone {
		return err
	}
	r, err := j.Run(ctx, run)
	if err == nil && seq < len(r.Plan.Steps) {
		j.after(r.Plan.Steps[seq].Kind)
	}
	return err
}

type plain struct{}

func (plain) Resolve(v ship.Value) (ship.Secret, error) { return ship.NewSecret(string(v)), nil }

// folders are artifacts that were never packed.
type folders struct{ s *stage }

type nothing struct{ *strings.Reader }

func (nothing) Close() error { return nil }

func (f folders) Open(string) (deploy.File, error) { return nothing{strings.NewReader("")}, nil }

func (f folders) Tree(digest string) (fs.FS, func() error, error) {
	return os.DirFS(filepath.Join(f.s.dir, "releases", digest)), func() error { return nil }, nil
}

type kinds struct{ s *stage }

func (k kinds) Platform(ship.Plugin) (platform.Platform, error) { return k.s.platform, nil }

func (k kinds) Database(kind string, c database.Config) (database.Database, error) {
	if kind == "postgres" {
		return postgres.New(c, plugin.Deps{})
	}
	return sqlite.New(c, plugin.Deps{})
}

func (k kinds) Tool(ship.Plugin) (migrate.Tool, error) {
	return sqlfiles.New(sqlfiles.Config{}, plugin.Deps{})
}

func (k kinds) Notifier(ship.Plugin, deploy.Resolver) (notify.Notifier, error) {
	return k.s.channel, nil
}

// A channel keeps what it was told.
type channel struct {
	mu   sync.Mutex
	told []string
	then func() error // called after each message
}

func (c *channel) Notify(_ context.Context, m notify.Message) error {
	c.mu.Lock()
	c.told = append(c.told, m.Topic)
	then := c.then
	c.mu.Unlock()
	if then != nil {
		return then()
	}
	return nil
}

// books is a platform that starts nothing.
type books struct {
	stage   *stage
	mu      sync.Mutex
	epoch   int64
	granted int64 // unless 0, the epoch every claim gets
	active  ship.Slot
	slots   map[ship.Slot]platform.SlotStatus
	// away has the calls of this name fail so many times.
	away     string
	failures int
	refuse   bool // it answers, and says no

	command func(context.Context, platform.Spec, platform.Command) (platform.Result, error) // nil does nothing
	web     string                                                                          // address of a web instance
	ended   []string                                                                        // commands
}

var _ platform.Platform = (*books)(nil)

func (b *books) call(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away == name && b.refuse {
		return ship.Errorf(ship.Failed, "", "no")
	}
	if b.away == name && b.failures > 0 {
		b.failures--
		return ship.Errorf(ship.Unreachable, "shiplock up", "node does not answer")
	}
	return nil
}

func (b *books) Capabilities() platform.Capabilities {
	return platform.Capabilities{Hold: true, Maintenance: true, KeepOld: true}
}

func (b *books) Acquire(_ context.Context, _ ship.EnvironmentID, c ship.Claim) (ship.Fence, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch = max(b.epoch+1, c.Atleast); b.granted > 0 {
		b.epoch = b.granted
	}
	return ship.Fence{Run: c.Run, Epoch: b.epoch}, nil
}

func (b *books) Renew(context.Context, ship.EnvironmentID, ship.Fence, time.Duration) error {
	return nil
}
func (b *books) Release(context.Context, ship.EnvironmentID, ship.Fence) error { return nil }

func (b *books) Observe(context.Context, ship.EnvironmentID) (platform.Observation, error) {
	if err := b.call("observe"); err != nil {
		return platform.Observation{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	obs := platform.Observation{Known: true, Epoch: b.epoch, Active: b.active, Mode: ship.Serving, Slots: map[ship.Slot]platform.SlotStatus{}}
	for slot, s := range b.slots {
		obs.Slots[slot] = s
	}
	if b.active != "" {
		obs.Receipt = &ship.Receipt{To: b.active}
	}
	return obs, nil
}

func (b *books) Upload(context.Context, ship.Artifact, io.Reader) error {
	return b.call("upload")
}

func (b *books) Prepare(_ context.Context, s platform.Spec) (platform.Prepared, error) {
	return platform.Prepared{Dir: filepath.Join(b.stage.dir, "releases", s.Release.Artifact.Digest), Took: "unpacked"}, b.call("prepare")
}

func (b *books) Run(ctx context.Context, s platform.Spec, c platform.Command) (platform.Result, error) {
	if b.command != nil {
		return b.command(ctx, s, c)
	}
	return platform.Result{}, b.call("run")
}

func (b *books) Start(_ context.Context, f ship.Fence, s platform.Spec, slot ship.Slot) error {
	if err := b.call("start"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []platform.Instance{{ID: string(slot) + ".worker.1", Process: "worker", PID: 1, State: "running"}}
	if b.web != "" {
		all = append(all, platform.Instance{ID: string(slot) + ".web.1", Process: ship.Web, PID: 2, State: "running", Address: b.web})
	}
	b.slots[slot] = platform.SlotStatus{Release: s.Release, Run: f.Run, Instances: all}
	return nil
}

func (b *books) Stop(context.Context, ship.Fence, ship.EnvironmentID, ship.Slot) error { return nil }

func (b *books) Shift(_ context.Context, _ ship.Fence, _ ship.EnvironmentID, s platform.Shift) error {
	if err := b.call("shift"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active = s.To
	return nil
}

func (b *books) SetMode(context.Context, ship.Fence, ship.EnvironmentID, platform.ModeChange) error {
	return nil
}
func (b *books) StopWorkers(context.Context, ship.Fence, ship.EnvironmentID) error  { return nil }
func (b *books) StartWorkers(context.Context, ship.Fence, ship.EnvironmentID) error { return nil }

func (b *books) Logs(context.Context, ship.EnvironmentID, platform.LogQuery, io.Writer) error {
	return nil
}

const initial = "-- +goose Up\nCREATE TABLE orders (id integer primary key, note text);\n-- +goose Down\nDROP TABLE orders;\n"

func firstRelease(s *stage) ship.Release {
	return s.release("sha256:1", map[string]string{"00001_init.sql": initial})
}

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/testneed"
)

// container is a folder in which shiplock start runs, with nothing in its
// environment but vars.
type container struct {
	t    *testing.T
	dir  string
	vars []string
}

// starting is a shiplock start that was begun.
type starting struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  said
	done chan struct{} // closed when it has ended
}

// said is what a process has printed so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (c *container) start(args ...string) *starting {
	c.t.Helper()
	st := &starting{t: c.t, done: make(chan struct{})}
	st.cmd = exec.Command(binary, append([]string{"start", "production", "--data", c.t.TempDir()}, args...)...)
	st.cmd.Dir, st.cmd.Env = c.dir, c.vars
	st.cmd.Stdout, st.cmd.Stderr = &st.out, &st.out
	st.cmd.WaitDelay = 5 * time.Second
	if err := st.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(st.done)
		_ = st.cmd.Wait() // its exit code is looked at
	}()
	c.t.Cleanup(func() {
		_ = st.cmd.Process.Kill()
		<-st.done
	})
	return st
}

// ended waits for the process and returns what it printed and its exit code.
func (st *starting) ended() (string, int) {
	st.t.Helper()
	select {
	case <-st.done:
	case <-time.After(2 * time.Minute):
		st.t.Fatalf("it did not end within 2 minutes: %s", st.out.String())
	}
	return st.out.String(), st.cmd.ProcessState.ExitCode()
}

// until polls until f tells that it is so.
func (st *starting) until(what string, f func() bool) {
	st.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
		select {
		case <-st.done:
			st.t.Fatalf("%s: it ended before: %s", what, st.out.String())
		default:
		}
	}
	st.t.Fatalf("%s: not within a minute: %s", what, st.out.String())
}

const startYAML = `
app: shop
run:
  processes:
    web: {command: "./shop --listen 127.0.0.1:$PORT"}
database: {url: "${secret:DATABASE_URL}", kind: %s}
migrations: {tool: sqlfiles, lock_timeout: 5s}
secrets: {file: secrets.env}
environments:
  production: {platform: process, listen: "127.0.0.1:8080"}
`

// newContainer is a folder with SQL files for a database.
func newContainer(t *testing.T, kind, database string, migrations map[string]string) *container {
	t.Helper()
	c := &container{t: t, dir: t.TempDir(), vars: []string{"PATH=/usr/bin:/bin"}}
	c.write("shiplock.yaml", fmt.Sprintf(startYAML, kind))
	c.write("secrets.env", "DATABASE_URL="+database+"\n")
	for name, text := range migrations {
		c.write("migrations/"+name, text)
	}
	return c
}

func (c *container) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

// twoSteps notice when they are carried out twice, and give another replica
// the time to try.
var twoSteps = map[string]string{
	"00001_shops.sql": "-- +goose Up\nCREATE TABLE shops (id bigint PRIMARY KEY);\nCREATE TABLE steps (at bigserial, step text);\nSELECT pg_sleep(1);\nINSERT INTO steps (step) VALUES ('one');\n-- +goose Down\nDROP TABLE steps;\nDROP TABLE shops;\n",
	"00002_name.sql":  "-- shiplock: phase=expand reason=\"nobody reads it yet\"\n-- +goose Up\nALTER TABLE shops ADD COLUMN name text;\nSELECT pg_sleep(1);\nINSERT INTO steps (step) VALUES ('two');\n-- +goose Down\nALTER TABLE shops DROP COLUMN name;\n",
}

// relay is a port that leads to a database from the moment it is opened.
type relay struct {
	t       *testing.T
	address string
	to      string
}

func newRelay(t *testing.T, database string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), to: u.Host}
	u.Host = r.address
	return r, u.String()
}

func (r *relay) open() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.carry(from) })
		}
	})
	r.t.Cleanup(func() { _ = l.Close(); all.Wait() })
}

func (r *relay) carry(from net.Conn) {
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = from.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
	both.Go(func() { _, _ = io.Copy(from, to); _ = from.Close() })
	both.Wait()
}

func TestStartWaitsForTheDatabaseAndRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	r, late := newRelay(t, database)
	c := newContainer(t, "postgres", late, twoSteps)

	// Nothing is there: it waits. Then an empty database is there.
	st := c.start()
	st.until("it waits", func() bool { return strings.Contains(st.out.String(), "waiting for the database") })
	r.open()
	out, code := st.ended()
	if code != 2 && code != 3 {
		t.Errorf("on an empty database it ended with exit code %d", code)
	}
	name := strings.TrimPrefix(mustURL(t, database).Path, "/")
	for _, side := range []string{"2 migrations", "00001_shops", name, "--migrate"} {
		if !strings.Contains(out, side) {
			t.Errorf("it does not say %q: %s", side, out)
		}
	}
	if got := rows(t, database, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\_shiplock%'`); len(got) > 0 {
		t.Errorf("it made %v", got)
	}

	// It migrates when it is told to.
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	steps(t, database)

	// A contract waits: replicas of an older release may live on the database.
	gone := "-- shiplock: phase=contract reason=\"nobody reads it any more\"\n-- +goose Up\nALTER TABLE shops DROP COLUMN name;\n"
	c.write("migrations/00003_gone.sql", gone)
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	steps(t, database)

	// In a database of its own it is carried out with the rest, and a release
	// that does not know it cannot run there.
	empty := testneed.Postgres(t)
	whole := newContainer(t, "postgres", empty, twoSteps)
	whole.write("migrations/00003_gone.sql", gone)
	if out, code := whole.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	old := newContainer(t, "postgres", empty, twoSteps)
	for _, args := range [][]string{nil, {"--migrate"}, {"--migrate-only"}} {
		out, code := old.start(args...).ended()
		if code != 3 || !strings.Contains(out, "00003_gone") || strings.Contains(out, "v0") {
			t.Errorf("start %v of an older release: exit code %d: %s", args, code, out)
		}
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// steps fails the test unless each migration was carried out, once.
func steps(t *testing.T, database string) {
	t.Helper()
	for query, want := range map[string]string{
		`SELECT step FROM steps ORDER BY at`: "one two",
		`SELECT version_id::text FROM goose_db_version WHERE version_id > 0 AND is_applied ORDER BY id`: "1 2",
		`SELECT status FROM _shiplock.migration ORDER BY migration`:                                     "done done",
	} {
		if got := strings.Join(rows(t, database, query), " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestReplicasThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	c := newContainer(t, "postgres", database, twoSteps)
	var all []*starting
	for range 3 {
		all = append(all, c.start("--migrate-only"))
	}
	for i, st := range all {
		if out, code := st.ended(); code != 0 {
			t.Errorf("replica %d ended with exit code %d: %s", i, code, out)
		}
	}
	steps(t, database)
}

func TestStartGoesOnAfterOneThatWasKilledAndSaysWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	c := newContainer(t, "postgres", database, twoSteps)
	killed := c.start("--migrate-only")
	killed.until("the second migration is under way", func() bool {
		return len(rows(t, database, `SELECT query FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()
			AND to_regclass('steps') IS NOT NULL`)) > 0
	})
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Errorf("after one that was killed: exit code %d: %s", code, out)
	}
	steps(t, database)

	c.write("migrations/00003_half.sql", "-- shiplock: phase=expand reason=\"nobody reads it yet\"\n-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE shops ADD COLUMN town text;\nINSERT INTO no_such_table VALUES (1);\n")
	// However often it is tried: what stayed is not forgotten.
	for range 3 {
		out, code := c.start("--migrate").ended()
		if code != 10 {
			t.Errorf("exit code %d, want 10: %s", code, out)
		}
		for _, word := range []string{"no_such_table", "not atomic", "shiplock migrate resolve production 00003_half --as applied|not-applied"} {
			if !strings.Contains(out, word) {
				t.Errorf("it does not say %q: %s", word, out)
			}
		}
	}
}

func TestStartBecomesTheServer(t *testing.T) {
	t.Parallel()
	program, err := shopBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, "sqlite", "sqlite:///"+filepath.Join(t.TempDir(), "shop.sqlite3"), nil)
	copyTree(t, "../examples/go/migrations", filepath.Join(c.dir, "migrations"))
	c.write("VERSION", "1\n")
	if err := os.Symlink(program, filepath.Join(c.dir, "shop")); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	c.vars = append(c.vars, fmt.Sprintf("PORT=%d", port))
	st := c.start("--migrate")
	st.until("the shop answers", func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/products", port))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", st.cmd.Process.Pid))
	if err != nil || exe != program {
		t.Errorf("the process is %q, want %q: %v", exe, program, err)
	}
	if err := st.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out, code := st.ended(); code != 0 || !strings.Contains(out, "stopping") {
		t.Errorf("SIGTERM ended it with exit code %d: %s", code, out)
	}
}

func TestStartTakesSecretsFromVariablesAndPreparesWhereItIsTold(t *testing.T) {
	t.Parallel()
	c := newContainer(t, "sqlite", "", map[string]string{
		"00001_shops.sql":        "-- +goose Up\nCREATE TABLE shops (id integer PRIMARY KEY);\n-- +goose Down\nDROP TABLE shops;\n",
		"drafts/00002_draft.sql": "not a migration",
		"00003_draft.sql":        "-- +goose Up\nthis is no SQL\n",
	})
	c.write("shiplock.yaml", strings.NewReplacer("processes:", "prepare: [touch prepared]\n  processes:", "environments:", "release: {exclude: [\"*draft*\"]}\nenvironments:").
		Replace(fmt.Sprintf(startYAML, "sqlite")))
	if err := os.Remove(filepath.Join(c.dir, "secrets.env")); err != nil {
		t.Fatal(err)
	}
	out, code := c.start("--migrate-only").ended()
	if code != 2 || !strings.Contains(out, "${secret:DATABASE_URL} cannot be resolved: it is neither in a secrets file nor the name of an environment variable") {
		t.Errorf("without its secret: exit code %d: %s", code, out)
	}
	c.vars = append(c.vars, "DATABASE_URL=sqlite:///"+filepath.Join(t.TempDir(), "shop.sqlite3"))
	out, code = c.start("--migrate-only").ended()
	if code != 0 || !strings.Contains(out, "secret taken from the environment variable of its name") || strings.Contains(out, "shop.sqlite3") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "prepared")); err == nil {
		t.Error("it prepared without being told to")
	}
	if out, code := c.start("--migrate-only", "--prepare").ended(); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "prepared")); err != nil {
		t.Errorf("it did not prepare: %v", err)
	}
}

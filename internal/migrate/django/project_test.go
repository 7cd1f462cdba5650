package django_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/django"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

const example = "../../../examples/django"

// A project is the example shop with a database of its own.
type project struct {
	migrate.Project
	t    *testing.T
	tool *django.Tool
	db   *pgx.Conn
	run  *runner
}

func newProject(t *testing.T, variants ...string) *project {
	t.Helper()
	return newProjectWith(t, testneed.Requirements(t, example+"/requirements.txt"), variants...)
}

func newProjectWith(t *testing.T, requirements []string, variants ...string) *project {
	t.Helper()
	p := &project{t: t, tool: newTool(t)}
	venv := testneed.Python(t, requirements...)
	url := testneed.Postgres(t)
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	p.db = db
	p.run = &runner{vars: []string{
		"PATH=" + filepath.Join(venv, "bin") + ":/usr/bin:/bin", "HOME=" + t.TempDir(), "LANG=C.UTF-8",
		"DATABASE_URL=" + url, "SECRET_KEY=for-tests-only", "PYTHONDONTWRITEBYTECODE=1",
	}}
	p.release(variants...)
	return p
}

func newTool(t *testing.T) *django.Tool {
	t.Helper()
	return newToolOf(t, "")
}

func newToolOf(t *testing.T, python string) *django.Tool {
	t.Helper()
	tool, err := django.New(django.Config{Python: python}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// release makes the project another release: the example with the variants
// laid over it.
func (p *project) release(variants ...string) {
	p.t.Helper()
	dir := p.t.TempDir()
	copyTree(p.t, example, dir)
	for _, v := range variants {
		copyTree(p.t, filepath.Join(example, "variants", v), dir)
	}
	p.run.dir = dir
	p.Project = migrate.Project{Dir: dir, Tree: os.DirFS(dir), Runner: p.run, Timeout: time.Minute, Lock: time.Second}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		switch {
		case rel == "variants" || d.Name() == "__pycache__":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// write puts a file into the release.
func (p *project) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) list() migrate.Listing {
	p.t.Helper()
	l, err := p.tool.List(p.t.Context(), p.Project)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

func (p *project) migration(id string) ship.Migration {
	p.t.Helper()
	l := p.list()
	i := slices.IndexFunc(l.Migrations, func(m ship.Migration) bool { return m.ID == id })
	if i < 0 {
		p.t.Fatalf("no migration %s", id)
	}
	return l.Migrations[i]
}

// upToDate applies the base release by Django itself, which is quicker than
// one migration at a time.
func (p *project) upToDate() {
	p.t.Helper()
	res, err := p.run.Run(p.t.Context(), migrate.Command{Argv: ship.Argv{"python", "manage.py", "migrate", "--noinput"}, Timeout: time.Minute})
	if err != nil || res.Code != 0 {
		p.t.Fatalf("migrate: %v %s", err, res.Stderr)
	}
}

func (p *project) up(id string) error {
	return p.tool.Up(p.t.Context(), p.Project, ship.Migration{ID: id})
}

// down takes back what the test knows to have a way down.
func (p *project) down(id string) error {
	return p.tool.Down(p.t.Context(), p.Project, ship.Migration{ID: id, Reversible: true})
}

func (p *project) observe(id string) migrate.State {
	p.t.Helper()
	state, err := p.tool.Observe(p.t.Context(), p.Project, ship.Migration{ID: id})
	if err != nil {
		p.t.Fatal(err)
	}
	return state
}

func (p *project) exec(sql string) {
	p.t.Helper()
	if _, err := p.db.Exec(p.t.Context(), sql); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) count(sql string, args ...any) (n int) {
	p.t.Helper()
	if err := p.db.QueryRow(p.t.Context(), sql, args...).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *project) hasColumn(table, column string) bool {
	p.t.Helper()
	return p.count("SELECT count(*) FROM information_schema.columns WHERE table_name=$1 AND column_name=$2", table, column) == 1
}

// A runner carries out commands in a release's folder. A named one is carried
// out once and can be killed from outside.
type runner struct {
	dir  string
	vars []string

	mu     sync.Mutex
	named  map[string]migrate.Result
	killed bool // the named command under way was killed, and who asked for it died too
	pgid   int  // of the named command under way
}

func (r *runner) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	r.mu.Lock()
	res, seen := r.named[c.Name]
	dead, vars := r.killed, slices.Clone(r.vars)
	r.mu.Unlock()
	if dead {
		return res, errors.New("nobody is there any more")
	}
	if c.Name != "" && seen {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	program := c.Argv[0]
	for _, v := range vars {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			program = filepath.Join(strings.Split(list, ":")[0], c.Argv[0])
		}
	}
	cmd := exec.CommandContext(ctx, program, c.Argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.dir, vars, bytes.NewReader(c.Stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return migrate.Result{}, err
	}
	if c.Name != "" {
		r.mu.Lock()
		r.pgid = cmd.Process.Pid
		r.mu.Unlock()
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return migrate.Result{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	res = migrate.Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Unknown: c.Name != "" && r.killed}
	if c.Name != "" {
		r.pgid = 0
		if r.named == nil {
			r.named = map[string]migrate.Result{}
		}
		r.named[c.Name] = res
		if r.killed {
			return res, errors.New("nobody is there any more")
		}
	}
	return res, nil
}

// kill ends the named command under way, with all its children, and the caller.
func (r *runner) kill(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.pgid == 0 {
		t.Fatal("nothing to kill: the command has ended")
	}
	if err := syscall.Kill(-r.pgid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// resume lets the next caller go on, who has more variables.
func (r *runner) resume(vars ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed, r.vars = false, append(r.vars, vars...)
}

// forget lets named commands be carried out anew, as the next run's are.
func (r *runner) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named, r.killed = nil, false
}

// eventually polls until ok, for a minute at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

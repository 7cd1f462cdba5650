package main_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// checkout is the example with a variant laid over it and its program built.
func checkout(t *testing.T, variant string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{".", filepath.Join("variants", variant)} {
		err := fs.WalkDir(os.DirFS(from), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return err
			}
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path, data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		if variant == "" {
			break
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "shop"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return dir
}

// up applies the migrations with goose itself.
func up(t *testing.T, dir, path string) error {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS(filepath.Join(dir, "migrations")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Up(t.Context())
	return err
}

// start starts the shop and returns its URL.
func start(t *testing.T, dir, path string) (string, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "shop"), "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.Env = []string{"DATABASE_URL=sqlite:///" + path, "SHIPLOCK_RELEASE=7"}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Address string }
	if err := json.Unmarshal(line, &said); err != nil || said.Address == "" {
		t.Fatalf("said %s: %v", line, err)
	}
	return "http://" + said.Address, cmd
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestAnOrderIsTakenOnceAndItsRepetitionIsCounted(t *testing.T) {
	dir, path := checkout(t, ""), filepath.Join(t.TempDir(), "shop.sqlite3")
	if err := up(t, dir, path); err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, dir, path)
	for i, want := range []int{http.StatusCreated, http.StatusOK} {
		resp, err := http.Post(url+"/orders", "application/json", strings.NewReader(`{"key":"a","product":1}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("order %d: %s", i, resp.Status)
		}
	}
	if _, body, _ := get(t, url+"/orders/"); !strings.Contains(body, `"attempts":2,"orders":1`) {
		t.Errorf("orders %s", body)
	}
	if status, body, _ := get(t, url+"/products"); status != http.StatusOK || !strings.Contains(body, `"price":24900`) {
		t.Errorf("products %d %s", status, body)
	}
	status, _, head := get(t, url+"/healthz")
	if status != http.StatusOK || head.Get("X-Shop-Version") != "1" || head.Get("X-Shop-Release") != "7" {
		t.Errorf("health %d, %v", status, head)
	}
}

func TestTheShopIsUnwellWithoutItsTables(t *testing.T) {
	dir, path := checkout(t, ""), filepath.Join(t.TempDir(), "shop.sqlite3")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, dir, path)
	if status, body, _ := get(t, url+"/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "products") {
		t.Errorf("health %d %s", status, body)
	}
}

func TestSIGTERMLetsARequestEnd(t *testing.T) {
	dir, path := checkout(t, "slow-answers"), filepath.Join(t.TempDir(), "shop.sqlite3")
	if err := up(t, dir, path); err != nil {
		t.Fatal(err)
	}
	url, cmd := start(t, dir, path)
	sent, first := make(chan struct{}), make(chan int, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			first <- 0
			return
		}
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	<-sent
	// Connections are accepted in order: when a later one is answered, the
	// first has been accepted, and waits.
	get(t, url+"/healthz")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := <-first; status != http.StatusOK {
		t.Errorf("the request under way got %d", status)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestEachVariantDoesWhatItsFolderSays(t *testing.T) {
	for variant, migrates := range map[string]bool{
		"additive": true, "destructive": true, "irreversible": true, "never-healthy": true, "errors": true, "failing": false, "failing-nonatomic": false,
	} {
		dir, path := checkout(t, variant), filepath.Join(t.TempDir(), "shop.sqlite3")
		if err := up(t, dir, path); (err == nil) != migrates {
			t.Errorf("%s: migrations: %v", variant, err)
			continue
		}
		url, _ := start(t, dir, path)
		count := map[int]int{}
		for range 20 {
			status, _, _ := get(t, url+"/products")
			count[status]++
		}
		want := map[string]int{"errors": 4}[variant]
		if count[http.StatusInternalServerError] != want {
			t.Errorf("%s: answers %v", variant, count)
		}
		if status, _, head := get(t, url+"/healthz"); (status == http.StatusOK) != (variant != "never-healthy") || head.Get("X-Shop-Version") != "2" {
			t.Errorf("%s: health %d, %v", variant, status, head)
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		var stays bool
		if err := db.QueryRow("SELECT count(*) > 0 FROM pragma_table_info('orders') WHERE name = 'note'").Scan(&stays); err != nil {
			t.Error(err)
		}
		db.Close()
		if stays != (variant == "additive" || variant == "failing-nonatomic") {
			t.Errorf("%s: orders.note is there: %v", variant, stays)
		}
	}
}

func TestVersion1CannotReadWhatTheDestructiveVariantLeaves(t *testing.T) {
	dir, path := checkout(t, "destructive"), filepath.Join(t.TempDir(), "shop.sqlite3")
	if err := up(t, dir, path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, dir, path)
	if status, body, _ := get(t, url+"/products"); status != http.StatusInternalServerError {
		t.Errorf("products %d %s", status, body)
	}
}

func TestTheReleaseHasTheProgramAndItsMigrationsAndNoMore(t *testing.T) {
	dir := checkout(t, "additive")
	f, err := config.Load(filepath.Join(dir, "shiplock.yaml"), config.Known{})
	if err != nil {
		t.Fatal(err)
	}
	tool, err := sqlfiles.New(sqlfiles.Config{}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	_, m, err := release.Pack(t.Context(), release.PackOptions{
		Dir: dir, App: f.App, Exclude: f.Exclude,
		Migrations: func(files fs.FS) ([]ship.Migration, error) { return tool.Files(files) },
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range m.Files {
		names = append(names, file.Path)
	}
	want := []string{".gitignore", "VERSION", "migrations/00001_products.sql", "migrations/00002_orders.sql", "migrations/00003_note.sql", "shiplock.yaml", "shop"}
	if !slices.Equal(names, want) || len(m.Migrations) != 3 {
		t.Errorf("packed %v with %d migrations", names, len(m.Migrations))
	}
}

func TestTheVersionIsPrinted(t *testing.T) {
	dir := checkout(t, "")
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "shop"), "--version")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil || string(out) != "1\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

package detect_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shiplock/shiplock/internal/detect"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestAFolderThatTellsNothingIsRefusedWithWhereToLook(t *testing.T) {
	for _, tt := range []struct {
		tree       fstest.MapFS
		want, hint string
	}{
		{fstest.MapFS{}, "nothing in shop tells", "Procfile"},
		{fstest.MapFS{"README.md": {}}, "nothing in shop tells", "Procfile"},
		{fstest.MapFS{"services/api/manage.py": {}}, "but services/api/manage.py may", "shiplock init shop/services/api"},
		{fstest.MapFS{"Procfile": {Data: []byte("web: a | b\n")}}, "nothing in shop tells", "Procfile"},
		{fstest.MapFS{"Dockerfile": {Data: []byte("FROM scratch\nCMD [\"/server\"]\n")}}, "nothing in shop tells", "Procfile"},
	} {
		_, err := detect.Scan(t.Context(), tt.tree, "shop")
		if err == nil || ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), tt.want) || !strings.Contains(ship.HintOf(err), tt.hint) {
			t.Errorf("got %v [%s], want %q [%q]", err, ship.HintOf(err), tt.want, tt.hint)
		}
	}
}

func TestAScanReadsABoundedPartOfALargeFolder(t *testing.T) {
	tree := fstest.MapFS{"Procfile": {Data: []byte("web: ./serve $PORT\n")}}
	line := strings.Repeat("x = 1\n", 80_000)
	for i := range 60 {
		tree[fmt.Sprintf("code/m%02d.py", i)] = &fstest.MapFile{Data: []byte(line)}
	}
	for i := range 30_000 {
		tree[fmt.Sprintf("data/%05d", i)] = &fstest.MapFile{}
	}
	deep := strings.Repeat("d/", 50) + "health.py"
	tree[deep] = &fstest.MapFile{Data: []byte(`app.get("/healthz")`)}
	begin := time.Now()
	p := scan(t, tree, "large")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	if p.Health.Path == "/healthz" {
		t.Error("a file was read that lies too deep")
	}
	if !strings.Contains(notes(p), "only the first") {
		t.Errorf("nothing tells that it was cut: %s", notes(p))
	}
}

func TestAScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := detect.Scan(ctx, fstest.MapFS{"Procfile": {Data: []byte("web: a\n")}}, "shop")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAFolderCannotLeadOutsideNorHoldAScanUp(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "requirements.txt"), "flask\n")
	write(filepath.Join(outside, "views.py"), `app.get("/healthz")`)
	write(filepath.Join(dir, "Procfile"), "web: ./serve $PORT\n")
	for _, link := range []string{"requirements.txt", "views.py", "app"} {
		if err := os.Symlink(filepath.Join(outside, strings.Replace(link, "app", "", 1)), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "manage.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "wsgi.py"), "\x00\xffapp = Flask(")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	p := scan(t, root.FS(), "shop")
	loads(t, p)
	if p.Framework != "" || p.Python != nil || p.Health.Path != "" {
		t.Errorf("something outside, or no text, was read: %+v", p)
	}
}

// Whatever the files of a project hold, what is written is a configuration:
// names and commands of others are quoted.
func TestHostileNamesStayWithinTheirQuotes(t *testing.T) {
	for _, text := range []string{
		"web: ./serve \"a: b\" --x={y} # $PORT\n",
		"web: ./serve 'it''s' $PORT\n",
		"web: ./serve \\\\ \\\" $PORT\n",
		"web: yes\n",
		"web: ./serve ${secret:X}\n",
		"web: ./serve \u202e$PORT\n",
		"web: ./serve \x1b[2J\n",
		"web: ./serve - $PORT -\n",
		"web: ./serve @a *b &c !d %e\n",
		"web: ./serve *b !d %e,f ]} $PORT:\n",
	} {
		p, err := detect.Scan(t.Context(), fstest.MapFS{"Procfile": {Data: []byte(text)}}, "Über Größe: {x}")
		if err != nil {
			if ship.KindOf(err) != ship.Invalid {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		loads(t, p)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("web: gunicorn a.b --bind :8000", "FROM x\nCMD [\"a\"]", `{"scripts":{"start":"node a"}}`)
	f.Add("web: a\nb: 'c", "ENTRYPOINT a \\\n b", `app = Flask(`)
	f.Fuzz(func(t *testing.T, procfile, dockerfile, source string) {
		tree := fstest.MapFS{
			"Procfile": {Data: []byte(procfile)}, "Dockerfile": {Data: []byte(dockerfile)},
			"package.json": {Data: []byte(source)}, "wsgi.py": {Data: []byte(source)}, "requirements.txt": {Data: []byte("flask\n" + source)},
			"manage.py": {Data: []byte(source)}, "main.go": {Data: []byte(source)}, "pyproject.toml": {Data: []byte(source)},
		}
		p, err := detect.Scan(t.Context(), tree, source)
		if err == nil {
			loads(t, p)
		} else if ship.KindOf(err) != ship.Invalid {
			t.Errorf("got %v", err)
		}
	})
}

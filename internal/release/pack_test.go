package release_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestTwoMachinesGetTheSameDigestForTheSameTree(t *testing.T) {
	files := map[string]string{"manage.py": "#!/usr/bin/env python3", "shop/a.py": "1", "shop/b.py": "2", "Z": "", "été.txt": "x"}
	one := tree(t, files)
	if err := os.Chmod(filepath.Join(one, "manage.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	two := t.TempDir()
	for _, name := range []string{"été.txt", "Z", "shop/b.py", "shop/a.py", "manage.py"} { // another order
		path := filepath.Join(two, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 5)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(two, "manage.py"), 0o700); err != nil { // umask 077
		t.Fatal(err)
	}
	a, first, _ := pack(t, release.PackOptions{Dir: one, App: "shop"})
	b, second, _ := pack(t, release.PackOptions{Dir: two, App: "shop"})
	if first.Digest != second.Digest || !bytes.Equal(a, b) {
		t.Errorf("digests %s and %s", first.Digest, second.Digest)
	}
	if first.Digest != digestOf(a) || first.Size != int64(len(a)) || first.Files != len(files) {
		t.Errorf("artifact %+v does not describe its %d bytes", first, len(a))
	}
	// Pinned, so that a new version of Go that packs otherwise is noticed:
	// releases that are kept must go on having their digest.
	if want := "sha256:0404434e78d33ddfd57a36f49365753bbea626b2674e6ae7ddbea67012c64a76"; first.Digest != want {
		t.Errorf("digest is %s, was %s ever since", first.Digest, want)
	}
}

func TestTheExecuteBitAndTheContentMakeAnotherDigest(t *testing.T) {
	dir := tree(t, map[string]string{"run": "x"})
	_, before, _ := pack(t, release.PackOptions{Dir: dir})
	if err := os.Chmod(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, exec, _ := pack(t, release.PackOptions{Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte("y"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, after, _ := pack(t, release.PackOptions{Dir: dir})
	if before.Digest == exec.Digest || exec.Digest == after.Digest {
		t.Errorf("digests %s, %s, %s", before.Digest, exec.Digest, after.Digest)
	}
}

func TestWhatIsExcludedIsNotPacked(t *testing.T) {
	dir := tree(t, map[string]string{
		"keep.py": "", "docs/a.md": "", "a.md": "", "tests/x.py": "", "src/tests/y.py": "",
		"sub/.git/HEAD": "", ".hg/x": "", ".svn/x": "", ".shiplock/state.db": "",
		"__pycache__/m.pyc": "", "a/b.pyc": "", ".venv/bin/python": "", "node_modules/.cache/x": "", "web/node_modules/.cache/x": "", "node_modules/lib.js": "",
		".env": "SECRET=1", ".env.production": "SECRET=1", "web/.env": "SECRET=1",
		".gitignore": "# comment\n\ndist/\r\n*.log\n!keep.log\n/only-here\n", "dist/app.js": "", "x.log": "", "keep.log": "", "only-here": "", "a/only-here": "",
		"web/.gitignore": "local\n", "web/local": "", "web/deep/local": "", "local": "",
	})
	_, _, m := pack(t, release.PackOptions{Dir: dir, Exclude: []string{"tests/", "*.md", "!dist/"}})
	want := []string{".gitignore", "a/only-here", "dist/app.js", "keep.log", "keep.py", "local", "node_modules/lib.js", "web/.gitignore"}
	if diff := cmp.Diff(want, paths(m)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingBringsBackWhatIsNeverPacked(t *testing.T) {
	dir := tree(t, map[string]string{"a": "", "sub/.git/config": "", ".shiplock/seal.key": "", ".env.example": "", ".gitignore": "!.git\n!.shiplock\n"})
	_, _, m := pack(t, release.PackOptions{Dir: dir, Exclude: []string{"!.git", "!sub/.git/**", "!.shiplock/**", "!.env.example"}})
	if diff := cmp.Diff([]string{".env.example", ".gitignore", "a"}, paths(m)); diff != "" {
		t.Error(diff)
	}
}

func TestA33ALinkIsPackedOnlyAsTheFileItLeadsTo(t *testing.T) {
	secret := tree(t, map[string]string{"passwd": "root"})
	for what, target := range map[string]string{
		"a file outside":   filepath.Join(secret, "passwd"),
		"a way outside":    "../../../../../../../../etc/passwd",
		"a folder":         "sub",
		"nothing":          "missing",
		"itself":           "link",
		"what is excluded": ".env",
		"an absolute name": "",
	} {
		dir := tree(t, map[string]string{"sub/real.txt": "text", ".env": "SECRET=1"})
		if target == "" {
			target = filepath.Join(dir, "sub/real.txt")
		}
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: dir}, &out)
		if ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), "link") || out.Len() > 0 {
			t.Errorf("link to %s: %v, %d bytes written", what, err, out.Len())
		}
		if _, _, err := release.Pack(t.Context(), release.PackOptions{Dir: dir, Exclude: []string{"link"}}, &out); err != nil {
			t.Errorf("link to %s, excluded: %v", what, err)
		}
	}
	dir := tree(t, map[string]string{"sub/real.txt": "text"})
	if err := os.Symlink("sub/real.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	data, _, _ := pack(t, release.PackOptions{Dir: dir})
	root, _, err := unpack(t, data, release.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := root.Lstat("link")
	if err != nil || !info.Mode().IsRegular() || info.Size() != 4 {
		t.Errorf("the link became %v, %v", info, err)
	}
}

func TestA33SpecialFilesAreNotPacked(t *testing.T) {
	dir := tree(t, map[string]string{"a": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: dir}, &bytes.Buffer{})
	if ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("error is %v", err)
	}
}

func TestWhatCouldNotBeUnpackedIsNotPacked(t *testing.T) {
	for _, files := range []map[string]string{
		{"README": "", "readme": ""},
		{`a\b`: ""},
		{"a\nb": ""},
		{"c:d": ""},
		{"caf\u00e9": "", "cafe\u0301": ""},
		{".Shiplock/x": ""},
	} {
		_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: tree(t, files)}, &bytes.Buffer{})
		if ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: %v", files, err)
		}
	}
	few := release.Limits{Bytes: 10, Files: 2, Depth: 3, Path: 100}
	for _, files := range []map[string]string{{"a": "", "b": "", "c": ""}, {"a": "123456", "b": "123456"}, {"a/b/c/d": ""}} {
		_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: tree(t, files), Limits: few}, &bytes.Buffer{})
		if ship.KindOf(err) != ship.Invalid {
			t.Errorf("%q: %v", files, err)
		}
	}
}

func TestMigrationsAreReadFromWhatIsPacked(t *testing.T) {
	dir := tree(t, map[string]string{"migrations/1.sql": "one", "migrations/2.sql": "two", "migrations/.gitignore": "2.sql\n"})
	_, _, m := pack(t, release.PackOptions{Dir: dir, Migrations: func(files fs.FS) ([]ship.Migration, error) {
		names, err := fs.Glob(files, "migrations/*.sql")
		if err != nil || !slices.Equal(names, []string{"migrations/1.sql"}) {
			t.Errorf("sees %v, %v", names, err)
		}
		if _, err := fs.ReadFile(files, "migrations/2.sql"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reads what is excluded: %v", err)
		}
		text, err := fs.ReadFile(files, "migrations/1.sql")
		return []ship.Migration{{ID: "1", SQL: string(text)}}, err
	}})
	if len(m.Migrations) != 1 || m.Migrations[0].SQL != "one" {
		t.Errorf("migrations %+v", m.Migrations)
	}
	boom := errors.New("two heads")
	_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: dir, Migrations: func(fs.FS) ([]ship.Migration, error) { return nil, boom }}, &bytes.Buffer{})
	if !errors.Is(err, boom) {
		t.Errorf("error is %v", err)
	}
}

func TestTheCommitIsRecordedAndWhetherPackedFilesDifferFromIt(t *testing.T) {
	testneed.Command(t, "git", "git")
	dir := tree(t, map[string]string{"app/a.py": "1", "app/.gitignore": "*.log\n", "other/b": "1"})
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.test"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is := func(what, commit string, dirty bool) {
		t.Helper()
		_, a, m := pack(t, release.PackOptions{Dir: filepath.Join(dir, "app")})
		if a.Commit != commit || a.Dirty != dirty || m.Commit != commit || m.Dirty != dirty {
			t.Errorf("%s: commit %q, dirty %v", what, a.Commit, a.Dirty)
		}
	}
	is("no repository", "", false)
	git("init", "-q")
	is("no commit", "", false)
	git("add", ".")
	git("commit", "-qm", "first")
	head := git("rev-parse", "HEAD")
	is("clean", head, false)
	write("app/x.log", "ignored")
	write("app/.env", "SECRET=1")
	write("other/c", "not in the folder that is packed")
	is("only what is not packed differs", head, false)
	write("app/new.py", "1")
	is("a new file", head, true)
	git("add", ".")
	git("commit", "-qm", "second")
	head = git("rev-parse", "HEAD")
	is("clean again", head, false)
	if err := os.Remove(filepath.Join(dir, "app/a.py")); err != nil {
		t.Fatal(err)
	}
	is("a file is gone", head, true)
}

func TestA31ARepositorysOwnConfigurationStartsNothing(t *testing.T) {
	testneed.Command(t, "git", "git")
	dir := tree(t, map[string]string{"a": "1"})
	mark := filepath.Join(t.TempDir(), "ran")
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "."},
		{"-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-qm", "x"},
		{"config", "core.fsmonitor", "touch " + mark},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	pack(t, release.PackOptions{Dir: dir})
	if _, err := os.Stat(mark); err == nil {
		t.Error("packing ran the program that the repository names")
	}
}

func TestAFileThatChangesWhileItIsPackedIsAnErrorAndNothingIsWritten(t *testing.T) {
	dir := tree(t, map[string]string{"a": "before"})
	var out bytes.Buffer
	_, _, err := release.Pack(t.Context(), release.PackOptions{Dir: dir, Migrations: func(fs.FS) ([]ship.Migration, error) {
		return nil, os.WriteFile(filepath.Join(dir, "a"), []byte("behind"), 0o644)
	}}, &out)
	if ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), "a changed while") || out.Len() > 0 {
		t.Errorf("error is %v, %d bytes written", err, out.Len())
	}
}

func TestProgressEndsAtItsTotal(t *testing.T) {
	var done, total, calls int64
	pack(t, release.PackOptions{Dir: tree(t, map[string]string{"a": "12345", "b": "678"}), Progress: func(d, all int64) {
		if d < done {
			t.Errorf("went back from %d to %d", done, d)
		}
		done, total = d, all
		calls++
	}})
	if done != total || total != 16 || calls < 4 {
		t.Errorf("%d of %d after %d calls", done, total, calls)
	}
}

func TestWhateverIsPackedIsUnpackedAlike(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9_ é#!*-]{1,12}`)
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for range rapid.IntRange(0, 12).Draw(rt, "files") {
			// Folders and files have names of their own, so none is both.
			var path []string
			for range rapid.IntRange(0, 3).Draw(rt, "depth") {
				path = append(path, name.Draw(rt, "dir")+".d")
			}
			files[strings.Join(append(path, name.Draw(rt, "name")+".f"), "/")] = rapid.String().Draw(rt, "text")
		}
		dir := tree(t, files)
		data, _, m := pack(t, release.PackOptions{Dir: dir})
		root, again, err := unpack(t, data, release.Limits{})
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			rt.Fatal(diff)
		}
		if err := release.Verify(t.Context(), root, again); err != nil {
			rt.Fatal(err)
		}
		for path, text := range files {
			got, err := root.ReadFile(path)
			if err != nil || string(got) != text {
				rt.Fatal(fmt.Sprintf("%q is %q, %v", path, got, err))
			}
		}
		if len(again.Files) != len(files) {
			rt.Fatalf("%d files became %d", len(files), len(again.Files))
		}
	})
}

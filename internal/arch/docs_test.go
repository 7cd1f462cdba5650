package arch_test

import (
	"encoding/json"
	"go/ast"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryNounIsInTheVocabulary(t *testing.T) {
	m, err := load(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	words := readDoc(t, "vocabulary.md")
	for p, f := range m.source {
		if p.dir != "internal/ship" {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && !strings.Contains(words, "**"+ts.Name.Name+"**") {
					t.Errorf("ship.%s has no entry **%s** in docs/vocabulary.md", ts.Name.Name, ts.Name.Name)
				}
			}
		}
	}
}

// documents returns every Markdown file of the project by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(root(t), name)
			if err != nil {
				t.Fatal(err)
			}
			docs[filepath.ToSlash(rel)] = string(text)
		}
	}
	return docs
}

var (
	link   = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)`)
	symbol = regexp.MustCompile("^`([a-z]+)\\.([A-Za-z]\\w*(?:\\.[A-Za-z]\\w*)?)`$")
)

// A link to a file must lead somewhere, and one that is written as
// [`deploy.Engine.Run`](…/engine.go) to a file that declares it.
func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	declared := declarations(t)
	for doc, text := range documents(t) {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[2], "://") || strings.HasPrefix(l[2], "mailto:") {
				continue
			}
			target := path.Join(path.Dir(doc), l[2])
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", doc, target)
				continue
			}
			if s := symbol.FindStringSubmatch(l[1]); s != nil && !declared[target+" "+s[2]] {
				t.Errorf("%s says that %s declares %s.%s, which it does not", doc, target, s[1], s[2])
			}
		}
	}
}

// declarations returns "file name" of every function and type, "file Type.name"
// of every method, and the same of the methods of interfaces.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	m, err := load(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, f := range m.source {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch d := n.(type) {
			case *ast.FuncDecl:
				all[f.path+" "+receiver(d)+d.Name.Name] = true
			case *ast.TypeSpec:
				all[f.path+" "+d.Name.Name] = true
				if i, ok := d.Type.(*ast.InterfaceType); ok {
					for _, method := range i.Methods.List {
						for _, name := range method.Names {
							all[f.path+" "+d.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	return all
}

// receiver returns "Type." for a method and "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

// example is a Go file in a document: its path in `backquotes` and a colon on
// a line of its own, a blank line, the block.
var example = regexp.MustCompile("(?m)^`([\\w/.-]+\\.go)`:\n\n```go\n((?s:.*?))^```$")

// The files shown in the pages on how to add something are laid over the
// module and built, and their tests are run.
func TestTheExamplesInTheDocumentsWork(t *testing.T) {
	for doc, text := range documents(t) {
		if !strings.HasPrefix(doc, "docs/add-a") {
			continue
		}
		t.Run(path.Base(doc), func(t *testing.T) {
			found := example.FindAllStringSubmatch(text, -1)
			if len(found) == 0 {
				t.Fatalf("%s shows no Go file", doc)
			}
			if blocks := strings.Count(text, "```go\n"); blocks != len(found) {
				t.Errorf("%s has %d Go blocks, of which %d have a path before them", doc, blocks, len(found))
			}
			buildAndRun(t, overlay(t, found), found)
		})
	}
}

// overlay writes the examples beside the module and returns the file that
// tells the go command to see them in it.
func overlay(t *testing.T, examples [][]string) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for i, e := range examples {
		name := filepath.Join(dir, string(rune('a'+i))+path.Base(e[1]))
		if err := os.WriteFile(name, []byte(e[2]), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root(t), filepath.FromSlash(e[1]))] = name
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// buildAndRun builds the examples' packages with their tests and runs these in
// a folder of their own, since those they pretend to be in do not exist.
func buildAndRun(t *testing.T, overlay string, examples [][]string) {
	t.Helper()
	dirs, tested := map[string]bool{}, map[string]bool{}
	for _, e := range examples {
		dirs[path.Dir(e[1])] = true
		if strings.HasSuffix(e[1], "_test.go") {
			tested[path.Dir(e[1])] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		binary := filepath.Join(t.TempDir(), "example.test")
		build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay="+overlay, "-o", binary, "./"+dir)
		build.Dir = root(t)
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("build %s: %v\n%s", dir, err, out)
			continue
		}
		if !tested[dir] {
			continue
		}
		run := exec.CommandContext(t.Context(), binary, "-test.timeout=2m")
		run.Dir = filepath.Dir(binary)
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("test of %s: %v\n%s", dir, err, out)
		}
	}
}

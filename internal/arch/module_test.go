package arch_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const modulePath = "github.com/shiplock/shiplock"

// A module is Go source, parsed but not compiled: the rules also hold for
// files that this machine's build constraints leave out.
type module struct {
	fset     *token.FileSet
	packages []*pkg // sorted by dir
}

// A pkg is one folder of Go files.
type pkg struct {
	dir   string // "internal/gate/command"
	files []*file
}

// A file is one Go file of a package.
type file struct {
	path  string
	test  bool
	lines int
	ast   *ast.File
}

// load parses every Go file below cmd, internal and e2e.
func load(tree fs.FS) (*module, error) {
	m := &module{fset: token.NewFileSet()}
	for _, root := range []string{"cmd", "internal", "e2e"} {
		if _, err := fs.Stat(tree, root); err != nil {
			continue
		}
		err := fs.WalkDir(tree, root, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
				return fs.SkipDir
			case d.IsDir() || path.Ext(name) != ".go":
				return nil
			}
			return m.add(tree, name)
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *module) add(tree fs.FS, name string) error {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(m.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	dir := path.Dir(name)
	i, found := slices.BinarySearchFunc(m.packages, dir, func(p *pkg, dir string) int { return strings.Compare(p.dir, dir) })
	if !found {
		m.packages = slices.Insert(m.packages, i, &pkg{dir: dir})
	}
	m.packages[i].files = append(m.packages[i].files, &file{
		path:  name,
		test:  strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(src, []byte("\n")),
		ast:   parsed,
	})
	return nil
}

// source yields the files that are not tests.
func (m *module) source(yield func(*pkg, *file) bool) {
	for _, p := range m.packages {
		for _, f := range p.files {
			if !f.test && !yield(p, f) {
				return
			}
		}
	}
}

// testing tells whether p exists for tests only.
func (p *pkg) testing() bool {
	base := path.Base(p.dir)
	return base == "testneed" || base == "arch" || base == "e2e" || (strings.HasSuffix(base, "test") && base != "test")
}

// imports returns the import paths of f.
func (f *file) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// importName returns the name by which f refers to the package at path, or "".
func (f *file) importName(importPath string) string {
	for _, spec := range f.ast.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// own returns the folder of an import of this module, or false.
func own(importPath string) (dir string, ok bool) {
	return strings.CutPrefix(importPath, modulePath+"/")
}

// vendor tells whether an import is neither ours nor the standard library's.
func vendor(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(importPath, modulePath)
}

func (m *module) line(n ast.Node) string {
	p := m.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

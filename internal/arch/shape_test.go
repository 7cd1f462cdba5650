package arch_test

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

// The limits. They hold for source; of tests only the files are measured.
const (
	maxFile   = 400 // lines; aim at 300
	maxFunc   = 60  // lines; aim at 40
	maxParams = 6   // besides the context
)

// tooLong lists the files and functions that are allowed so many lines more
// than the limit. An entry may shrink or go, never grow, and none is added.
var tooLong = map[string]int{}

func sizes(m *module, _ *law) (against []string) {
	for _, p := range m.packages {
		for _, f := range p.files {
			if limit := max(maxFile, tooLong[f.path]); f.lines > limit {
				against = append(against, fmt.Sprintf("%s has %d lines, limit %d: split it by what it is about", f.path, f.lines, limit))
			}
			if f.test {
				continue
			}
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					against = append(against, funcSize(m, f, fn)...)
				}
			}
		}
	}
	return against
}

func funcSize(m *module, f *file, fn *ast.FuncDecl) (against []string) {
	lines := funcLines(m, fn)
	if limit := max(maxFunc, tooLong[f.path+" "+fn.Name.Name]); lines > limit {
		against = append(against, fmt.Sprintf("%s: %s has %d lines, limit %d: name its parts", m.line(fn), fn.Name.Name, lines, limit))
	}
	if n := countParams(f, fn); n > maxParams {
		against = append(against, fmt.Sprintf("%s: %s has %d parameters besides the context, limit %d: they want to be a struct", m.line(fn), fn.Name.Name, n, maxParams))
	}
	return against
}

func countParams(f *file, fn *ast.FuncDecl) (n int) {
	for _, p := range fn.Type.Params.List {
		if isContext(f, p.Type) {
			continue
		}
		n += max(1, len(p.Names))
	}
	return n
}

// measure returns the lines of every file, and of every function under the
// file's path, a space and its name.
func measure(m *module) map[string]int {
	lines := map[string]int{}
	for _, f := range m.source {
		lines[f.path] = f.lines
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				lines[f.path+" "+fn.Name.Name] = funcLines(m, fn)
			}
		}
	}
	return lines
}

func funcLines(m *module, fn *ast.FuncDecl) int {
	return m.fset.Position(fn.End()).Line - m.fset.Position(fn.Pos()).Line + 1
}

func comments(m *module, _ *law) (against []string) {
	for _, p := range m.packages {
		source, documented := 0, false
		for _, f := range p.files {
			if f.test {
				continue
			}
			source++
			documented = documented || packageComment(f)
			for _, d := range f.ast.Decls {
				against = append(against, declComments(m, d)...)
			}
		}
		if source > 0 && !documented {
			against = append(against, fmt.Sprintf("%s has no package comment: say what it knows and what it refuses to know", p.dir))
		}
	}
	return against
}

func packageComment(f *file) bool {
	text := f.ast.Doc.Text()
	if f.ast.Name.Name == "main" {
		return strings.HasPrefix(text, "Command "+path.Base(path.Dir(f.path)))
	}
	return strings.HasPrefix(text, "Package "+f.ast.Name.Name+" ")
}

func declComments(m *module, d ast.Decl) (against []string) {
	missing := func(n ast.Node, name string) {
		against = append(against, fmt.Sprintf("%s: %s is exported without a comment", m.line(n), name))
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) && d.Doc.Text() == "" {
			missing(d, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc.Text()+s.Doc.Text() == "" {
					missing(s, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc.Text()+s.Doc.Text()+s.Comment.Text() == "" {
						missing(s, name.Name)
					}
				}
			}
		}
	}
	return against
}

// exportedReceiver tells whether fn is a function or a method of an exported
// type. Methods that only satisfy error or fmt.Stringer say nothing new.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	if fn.Name.Name == "Error" || fn.Name.Name == "Unwrap" || fn.Name.Name == "String" {
		return false
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch g := t.(type) {
	case *ast.IndexExpr:
		t = g.X
	case *ast.IndexListExpr:
		t = g.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

package arch_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// A rule returns a sentence for each place where the module is against it.
type rule func(*module, *law) []string

var rules = map[string]rule{
	"imports follow the table":              importsFollowTheTable,
	"vendors are used where they are named": vendorsAreConfined,
	"calls are made where they are named":   callsAreConfined,
	"no command goes through a shell":       noShell,
	"nothing happens before main":           noInit,
	"contexts are handed on, never kept":    noKeptContext,
	"files and functions are short":         sizes,
	"packages and exported names have docs": comments,
}

func importsFollowTheTable(m *module, l *law) (against []string) {
	for _, p := range m.packages {
		r := find(l.packages, p.dir)
		if r == nil {
			against = append(against, fmt.Sprintf("%s has no row in docs/architecture.md: say there what it is for and what it may import", p.dir))
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue // a test may use what it needs; what is linked has a test of its own
			}
			for _, imp := range f.imports() {
				if dir, ok := own(imp); ok && !r.allows(dir) {
					against = append(against, fmt.Sprintf("%s imports %s, which the row of %s in docs/architecture.md does not allow", f.path, dir, p.dir))
				}
			}
		}
	}
	for _, name := range unused(l.packages) {
		against = append(against, fmt.Sprintf("docs/architecture.md describes %s, which does not exist", name))
	}
	return against
}

func vendorsAreConfined(m *module, l *law) (against []string) {
	for p, f := range m.source {
		for _, imp := range f.imports() {
			if !vendor(imp) {
				continue
			}
			r := findVendor(l.vendors, imp)
			switch {
			case p.testing():
			case r == nil:
				against = append(against, fmt.Sprintf("%s imports %s, which no row of the vendor table in docs/architecture.md names", f.path, imp))
			case !r.allows(p.dir):
				against = append(against, fmt.Sprintf("%s imports %s, which is only for %s", f.path, imp, only(r)))
			}
		}
	}
	for _, name := range unused(l.vendors) {
		against = append(against, fmt.Sprintf("docs/architecture.md confines the vendor %s, which nothing imports", name))
	}
	return against
}

// findVendor returns the row whose module holds the package at importPath.
func findVendor(rows []*row, importPath string) *row {
	for _, r := range rows {
		for _, module := range r.names {
			if importPath == module || strings.HasPrefix(importPath, module+"/") {
				r.used = true
				return r
			}
		}
	}
	return nil
}

func callsAreConfined(m *module, l *law) (against []string) {
	for p, f := range m.source {
		if p.testing() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			for _, r := range l.calls {
				if slices.ContainsFunc(r.names, func(name string) bool { return names(f, s, name) }) && !r.allows(p.dir) {
					against = append(against, fmt.Sprintf("%s uses %s, which is only for %s", m.line(s), s.Sel.Name, only(r)))
				}
			}
			return true
		})
	}
	return against
}

// names tells whether s is what a row calls name: "os.Exit", "fmt.Print*",
// "net/http.Get", or ".Reveal" for a method of that name.
func names(f *file, s *ast.SelectorExpr, name string) bool {
	dot := strings.LastIndex(name, ".")
	if !matches([]string{name[dot+1:]}, s.Sel.Name) {
		return false
	}
	if dot == 0 {
		return true
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == f.importName(name[:dot])
}

func only(r *row) string {
	if len(r.may) == 0 {
		return "nobody"
	}
	return strings.Join(r.may, " ")
}

func noShell(m *module, _ *law) (against []string) {
	shells := []string{"sh", "bash", "/bin/sh", "/bin/bash"}
	for p, f := range m.source {
		if p.testing() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(shells, text) {
				against = append(against, fmt.Sprintf("%s names a shell: every command is an argv", m.line(lit)))
			}
			return true
		})
	}
	return against
}

func noInit(m *module, _ *law) (against []string) {
	for _, p := range m.packages {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					against = append(against, fmt.Sprintf("%s has an init function: do it in a constructor", f.path))
				}
			}
		}
	}
	return against
}

// noKeptContext lets only readers and writers keep a context, since the
// methods of io have no room for one.
func noKeptContext(m *module, _ *law) (against []string) {
	for _, p := range m.packages {
		streams := streamTypes(p)
		for _, f := range p.files {
			if f.test {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				t, ok := n.(*ast.TypeSpec)
				if !ok || streams[t.Name.Name] {
					return true
				}
				if s, ok := t.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						if isContext(f, field.Type) {
							against = append(against, fmt.Sprintf("%s keeps a context in a struct: hand it on as the first parameter", m.line(field)))
						}
					}
				}
				return true
			})
		}
	}
	return against
}

// streamTypes returns the types of p that have a method Read or Write.
func streamTypes(p *pkg) map[string]bool {
	types := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && (fn.Name.Name == "Read" || fn.Name.Name == "Write") {
				types[strings.TrimSuffix(receiver(fn), ".")] = true
			}
		}
	}
	return types
}

func isContext(f *file, t ast.Expr) bool {
	s, ok := t.(*ast.SelectorExpr)
	return ok && names(f, s, "context.Context")
}

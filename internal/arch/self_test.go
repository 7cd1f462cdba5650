package arch_test

import (
	"strings"
	"testing"
	"testing/fstest"
)

const sampleLaw = `
| package | what it is for | may import |
| --- | --- | --- |
| ''cmd/shiplock'' | the process | ''cli'' |
| ''internal/cli'' | commands | anything |
| ''internal/gate'' | the seam | ''ship'' |
| ''internal/gate/*'' | adapters | ''ship'' ''gate'' |

| vendor | what for | only in |
| --- | --- | --- |
| ''example.org/flags'' | flags | ''cli'' |

| call | why | only in |
| --- | --- | --- |
| ''os.Exit'' | only main ends the process | ''cmd/*'' |
| ''fmt.Print*'' | output has one owner | ''cli'' |
| ''net/http.Get'' | has no time-out | |
| ''.Reveal'' | secrets leave here | ''gate/window'' |
`

// sample is a module in which every rule holds.
func sample() map[string]string {
	return map[string]string{
		"cmd/shiplock/main.go":           "// Command shiplock is it.\npackage main\nimport (\n\"os\"\n_ \"github.com/shiplock/shiplock/internal/cli\"\n)\nfunc main() { os.Exit(0) }",
		"internal/cli/cli.go":            "// Package cli has commands.\npackage cli\nimport (\n\"fmt\"\n_ \"example.org/flags\"\n_ \"github.com/shiplock/shiplock/internal/gate/window\"\n)\nfunc run() { fmt.Println() }",
		"internal/gate/gate.go":          "// Package gate is the seam.\npackage gate\n// A Gate judges.\ntype Gate interface{ Judge() }",
		"internal/gate/window/window.go": "// Package window is a gate.\npackage window\nimport _ \"github.com/shiplock/shiplock/internal/gate\"\nfunc f(s interface{ Reveal() string }) { s.Reveal() }",
		"internal/gate/window/x_test.go": "package window_test\nimport _ \"github.com/shiplock/shiplock/internal/cli\"",
	}
}

func complaints(t *testing.T, files map[string]string) []string {
	t.Helper()
	tree := fstest.MapFS{}
	for name, src := range files {
		tree[name] = &fstest.MapFile{Data: []byte(src + "\n")}
	}
	m, err := load(tree)
	if err != nil {
		t.Fatal(err)
	}
	l, err := readLaw(strings.ReplaceAll(sampleLaw, "''", "`"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rules {
		all = append(all, r(m, l)...)
	}
	return all
}

func TestARuleThatHoldsSaysNothing(t *testing.T) {
	if got := complaints(t, sample()); len(got) > 0 {
		t.Errorf("complaints about a good module:\n%s", strings.Join(got, "\n"))
	}
}

func TestEveryRuleCanFail(t *testing.T) {
	const self = `_ "github.com/shiplock/shiplock/internal/`
	for _, tt := range []struct{ name, path, src, want string }{
		{"an import against the table", "internal/gate/window/b.go", "package window\nimport " + self + `cli"`, "internal/gate/window/b.go imports internal/cli, which the row of internal/gate/window"},
		{"an adapter that imports another", "internal/gate/http/http.go", "// Package http is a gate.\npackage http\nimport " + self + `gate/window"`, "imports internal/gate/window"},
		{"a package without a row", "internal/util/util.go", "// Package util is.\npackage util", "internal/util has no row"},
		{"a row without a package", "internal/cli/cli.go", "", "docs/architecture.md describes internal/cli, which does not exist"},
		{"a vendor out of its place", "internal/gate/b.go", "package gate\nimport _ \"example.org/flags/deep\"", "which is only for cli"},
		{"a vendor nobody named", "internal/cli/b.go", "package cli\nimport _ \"example.org/flagship\"", "no row of the vendor table"},
		{"a vendor nobody uses", "internal/cli/cli.go", "// Package cli is.\npackage cli\nimport " + self + `gate/window"`, "confines the vendor example.org/flags, which nothing imports"},
		{"an exit out of its place", "internal/cli/b.go", "package cli\nimport \"os\"\nfunc f() { os.Exit(1) }", "internal/cli/b.go:3 uses Exit, which is only for cmd/*"},
		{"the same under another name", "internal/cli/b.go", "package cli\nimport sys \"os\"\nfunc f() { sys.Exit(1) }", "uses Exit"},
		{"a pattern of calls", "internal/gate/b.go", "package gate\nimport \"fmt\"\nfunc f() { fmt.Printf(\"\") }", "uses Printf, which is only for cli"},
		{"a call for nobody", "internal/cli/b.go", "package cli\nimport \"net/http\"\nfunc f() { http.Get(\"\") }", "uses Get, which is only for nobody"},
		{"a method out of its place", "internal/cli/b.go", "package cli\nfunc f(s interface{ Reveal() string }) { s.Reveal() }", "uses Reveal, which is only for gate/window"},
		{"a shell", "internal/gate/b.go", "package gate\nvar x = []string{\"/bin/sh\", \"-c\"}", "internal/gate/b.go:2 names a shell"},
		{"an init function", "internal/gate/b_test.go", "package gate_test\nfunc init() {}", "internal/gate/b_test.go has an init function"},
		{"a kept context", "internal/gate/b.go", "package gate\nimport \"context\"\ntype t struct{ ctx context.Context }", "internal/gate/b.go:3 keeps a context in a struct"},
		{"a long file", "internal/gate/b_test.go", "package gate_test" + strings.Repeat("\n", maxFile), "has 401 lines, limit 400"},
		{"a long function", "internal/gate/b.go", "package gate\nfunc f() {" + strings.Repeat("\n", maxFunc) + "}", "f has 61 lines, limit 60"},
		{"many parameters", "internal/gate/b.go", "package gate\nimport \"context\"\nfunc f(ctx context.Context, a, b, c, d, e, f, g int) {}", "f has 7 parameters besides the context"},
		{"a package without a comment", "internal/gate/gate.go", "// It is the seam.\npackage gate", "internal/gate has no package comment"},
		{"a function without a comment", "internal/gate/b.go", "package gate\nfunc F() {}", "internal/gate/b.go:2: F is exported without a comment"},
		{"a method without a comment", "internal/gate/b.go", "package gate\n// T is.\ntype T[K any] struct{}\nfunc (*T[K]) M() {}", "M is exported without a comment"},
		{"a type without a comment", "internal/gate/b.go", "package gate\ntype T struct{}", "T is exported without a comment"},
		{"a constant without a comment", "internal/gate/b.go", "package gate\nconst C = 1", "C is exported without a comment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := sample()
			files[tt.path] = tt.src
			if tt.src == "" {
				delete(files, tt.path)
			}
			if got := strings.Join(complaints(t, files), "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("want a complaint with %q, got:\n%s", tt.want, got)
			}
		})
	}
}

func TestALawWithoutItsTablesIsRefused(t *testing.T) {
	for _, head := range []string{"| package |", "| vendor |", "| call |"} {
		if _, err := readLaw(strings.ReplaceAll(strings.Replace(sampleLaw, head, "| other |", 1), "''", "`")); err == nil {
			t.Errorf("a law without the table %s was accepted", head)
		}
	}
}

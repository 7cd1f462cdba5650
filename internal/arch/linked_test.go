package arch_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/deps.txt")

// linked returns the packages that are part of the shipped binary, as "module
// package"; the standard library's have no module.
func linked(t *testing.T) [][2]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", "./cmd/shiplock")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list what cmd/shiplock links: %v\n%s", err, &stderr)
	}
	var packages [][2]string
	for line := range strings.Lines(string(out)) {
		module, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		packages = append(packages, [2]string{module, path})
	}
	return packages
}

func TestNoTestCodeIsLinkedIntoTheBinary(t *testing.T) {
	for _, p := range linked(t) {
		if dir, ok := own(p[1]); ok && (&pkg{dir: dir}).testing() {
			t.Errorf("cmd/shiplock links %s, which is for tests", dir)
		}
		if p[1] == "testing" || strings.HasPrefix(p[1], "testing/") || p[1] == "net/http/httptest" {
			t.Errorf("cmd/shiplock links %s", p[1])
		}
	}
}

// docs/deps.txt makes a new dependency a line in the diff that is reviewed.
func TestTheLinkedModulesAreTheListed(t *testing.T) {
	var modules []string
	for _, p := range linked(t) {
		if p[0] != "" && p[0] != modulePath {
			modules = append(modules, p[0])
		}
	}
	slices.Sort(modules)
	modules = slices.Compact(modules)
	got := strings.Join(modules, "\n") + "\n"
	name := filepath.Join(root(t), "docs", "deps.txt")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(want))
	for _, m := range modules {
		if !slices.Contains(listed, m) {
			t.Errorf("cmd/shiplock links %s, which docs/deps.txt does not list: go test ./internal/arch -update", m)
		}
	}
	for _, m := range listed {
		if !slices.Contains(modules, m) {
			t.Errorf("docs/deps.txt lists %s, which cmd/shiplock no longer links: go test ./internal/arch -update", m)
		}
	}
}

package arch_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// root returns the folder of this module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheCodeFollowsTheLaw(t *testing.T) {
	m, err := load(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := readLaw(readDoc(t, "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) {
			for _, sentence := range rules[name](m, l) {
				t.Error(sentence)
			}
		})
	}
}

// An entry of the list of exceptions that is no longer needed has to go, so
// that the list can only become shorter.
func TestTheExceptionsAreStillNeeded(t *testing.T) {
	m, err := load(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	measured := measure(m)
	for name, allowed := range tooLong {
		if n := measured[name]; n < allowed {
			t.Errorf("tooLong allows %s %d lines, it has %d: lower the number, or remove it when it is within the limit", name, allowed, n)
		}
	}
}

package rules_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
)

var update = flag.Bool("update", false, "write what is found into the golden files")

// A golden file has sections that begin with "== name": the options, a base
// schema, SQL in which the rule finds something, SQL in which it does not, and
// what is found in the former.
func TestEveryRuleFindsItsExamplesAndNothingInTheOthers(t *testing.T) {
	linter, err := lint.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range linter.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			name := filepath.Join("testdata", rule.ID+".txt")
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatalf("the rule has no golden file: %v", err)
			}
			head, want, ok := strings.Cut(string(data), "== want\n")
			if !ok {
				t.Fatalf("%s has no section want", name)
			}
			found := run(t, linter, rule, "bad", head)
			if !has(found, rule.ID) {
				t.Errorf("%s finds nothing in its bad example", rule.ID)
			}
			if good := run(t, linter, rule, "good", head); has(good, rule.ID) {
				t.Errorf("%s finds something in its good example:\n%s", rule.ID, describe(good))
			}
			got := describe(found)
			if *update {
				if err := os.WriteFile(name, []byte(head+"== want\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryGoldenFileHasItsRule(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		id := strings.TrimSuffix(filepath.Base(name), ".txt")
		if !slices.ContainsFunc(rules.All(), func(r lint.Rule) bool { return r.ID == id }) {
			t.Errorf("%s is about no rule", name)
		}
	}
}

func has(found []lint.Finding, id string) bool {
	return slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Rule == id })
}

func section(text, name string) string {
	_, rest, ok := strings.Cut("\n"+text, "\n== "+name+"\n")
	if !ok {
		return ""
	}
	body, _, _ := strings.Cut(rest, "\n== ")
	return strings.TrimSuffix(body, "\n") + "\n"
}

func run(t *testing.T, l *lint.Linter, rule lint.Rule, name, text string) []lint.Finding {
	t.Helper()
	o := lint.Options{Dialect: rule.Dialect, Schema: lint.NewSchema()}
	f := lint.File{Name: name + ".sql", Text: section(text, name)}
	if f.Text == "" {
		t.Fatalf("there is no section %s", name)
	}
	for _, word := range strings.Fields(section(text, "options")) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "transaction":
			f.Transaction = true
		case "alone":
			o.Alone = true
		case "version":
			var err error
			if o.Version, err = lint.ParseVersion(o.Dialect, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := lint.Learn(o.Schema, o.Dialect, "base.sql", section(text, "base")); err != nil {
		t.Fatal(err)
	}
	found := l.Run([]lint.File{f}, o)
	for _, x := range found {
		if x.Rule == "PG000" || x.Rule == "SL000" {
			t.Errorf("%s:%d: %s", x.File, x.Line, x.Message)
		}
	}
	return found
}

func describe(found []lint.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%d %s %s: %s\n", f.Line, f.Class, f.Rule, f.Message)
		var words []string
		for _, l := range f.Locks {
			words = append(words, l.Mode+" on "+l.Table)
		}
		if f.Work != "" {
			words = append(words, string(f.Work))
		}
		for _, w := range []struct {
			is   bool
			word string
		}{{f.Breaks, "breaks the running release"}, {f.Stuck, "breaks the way down"}} {
			if w.is {
				words = append(words, w.word)
			}
		}
		if len(words) > 0 {
			fmt.Fprintf(&b, "  %s\n", strings.Join(words, "; "))
		}
		for line := range strings.Lines(f.Rewrite) {
			fmt.Fprintf(&b, "  > %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return b.String()
}

func TestWhatARewriteSaysIsReadAgain(t *testing.T) {
	linter, err := lint.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range linter.Rules() {
		data, err := os.ReadFile(filepath.Join("testdata", rule.ID+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range run(t, linter, rule, "bad", string(data)) {
			if strings.Contains(f.Rewrite, "…") {
				continue // a person has to fill something in
			}
			again := linter.Run([]lint.File{{Name: "rewrite.sql", Text: f.Rewrite}}, lint.Options{Dialect: rule.Dialect, Version: 18})
			for _, x := range again {
				if x.Rule == "PG000" || x.Rule == "SL000" {
					t.Errorf("the rewrite of %s cannot be read: %s\n%s", f.Rule, x.Message, f.Rewrite)
				}
			}
		}
	}
}

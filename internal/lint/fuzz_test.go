package lint_test

import (
	"io"
	"testing"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Whatever a file holds, linting it ends, with findings that lie within it.
func FuzzLint(f *testing.F) {
	for _, r := range rules.All() {
		bad, good := rules.Examples(r.ID)
		f.Add(bad, r.Dialect == sqltext.SQLite, false)
		f.Add(good, r.Dialect == sqltext.SQLite, true)
	}
	f.Add(madeBefore, false, false)
	l, err := lint.New(rules.All())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, lite, transaction bool) {
		o := lint.Options{Dialect: sqltext.Postgres, Version: 18}
		if lite {
			o = lint.Options{Dialect: sqltext.SQLite, Version: 3040}
		}
		o.Schema = lint.NewSchema()
		_ = lint.Learn(o.Schema, o.Dialect, "base", text) // what cannot be read is not known
		found := l.Run([]lint.File{{Name: "f", Text: text, Transaction: transaction}}, o)
		for _, x := range found {
			if x.Line < 1 || x.Column < 1 || x.Class == "" || x.Message == "" {
				t.Errorf("%+v", x)
			}
		}
		if err := lint.WriteText(io.Discard, found, false); err != nil {
			t.Error(err)
		}
	})
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// judge asks the linter about every case, with the base as what is known.
func judge(all []*measured, version int) error {
	linter, err := lint.New(rules.All())
	if err != nil {
		return err
	}
	for _, m := range all {
		o := lint.Options{Dialect: sqltext.Postgres, Version: version, Schema: lint.NewSchema()}
		if err := lint.Learn(o.Schema, o.Dialect, "base.sql", read("base.sql")); err != nil {
			return err
		}
		m.says.locks = map[string]string{}
		for _, f := range linter.Run([]lint.File{{Name: "case.sql", Text: m.sql + ";"}}, o) {
			m.says.blocks = m.says.blocks || f.Blocks(false) || f.Breaks && !f.Data
			m.says.work = m.says.work || f.Work == lint.Scan || f.Work == lint.Rewrite || f.Work == lint.IndexBuild
			m.says.rules = append(m.says.rules, f.Rule)
			for _, l := range f.Locks {
				if mode := theirs(l.Mode); weight(mode) > weight(m.says.locks[l.Table]) {
					m.says.locks[l.Table] = mode
				}
			}
		}
	}
	return nil
}

// theirs writes a mode as pg_locks does.
func theirs(mode string) string {
	words := strings.Fields(strings.ToLower(mode))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "") + "Lock"
}

// judgeSquawk asks squawk the same. It cannot be told of a base.
func judgeSquawk(ctx context.Context, path string, all []*measured, version int) error {
	for _, m := range all {
		c := exec.CommandContext(ctx, path, "--reporter", "json", "--pg-version", fmt.Sprintf("%d.0", version),
			"--exclude", strings.Join(style(), ","), "--stdin-filepath", "case.sql")
		c.Stdin = strings.NewReader(m.sql + ";\n")
		var out bytes.Buffer
		c.Stdout = &out
		_ = c.Run() // it ends with 1 when it finds something
		var found []struct {
			Rule string `json:"rule_name"`
		}
		if err := json.Unmarshal(out.Bytes(), &found); err != nil {
			return fmt.Errorf("read what squawk says of %q: %w: %s", m.sql, err, out.String())
		}
		for _, f := range found {
			m.squawk.blocks = true
			if !slices.Contains(m.squawk.rules, f.Rule) {
				m.squawk.rules = append(m.squawk.rules, f.Rule)
			}
		}
	}
	return nil
}

// style are squawk's rules about how SQL is written and run, rather than about
// what it does.
func style() []string {
	return []string{
		"require-timeout-settings", "require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts", "prefer-text-field", "prefer-bigint-over-int", "prefer-bigint-over-smallint",
		"prefer-identity", "prefer-timestamp-tz", "ban-char-field",
	}
}

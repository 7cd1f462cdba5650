package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
	"github.com/shiplock/shiplock/internal/wire"
)

// A lintRequest is what the flags of lint say.
type lintRequest struct {
	dialect, version, phase, explain, environment string

	base, ignore             []string
	schema                   string
	alone, transaction, down bool
	chosen                   bool // the dialect was given
}

func (s *session) lintCommand() *cobra.Command {
	var q lintRequest
	c := &cobra.Command{
		Use: "lint [file|folder|-]…", Short: "Say what migrations would do to a database that is in use",
		Long: "Say what migrations would do to a database that is in use: which locks they take, whether they\n" +
			"read or write whole tables, and what of the running release they break. Files are read in the\n" +
			"order given, those of a folder in the order their tool applies them in; - is standard input.\n" +
			"Without a file, the pending migrations of the project are read, as its own tool shows them.\n" +
			"It ends with 5 when something blocks: class B, and class G unless --phase contract.",
		Args: cobra.ArbitraryArgs,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			if !slices.Contains([]string{"text", "json", "sarif", "github"}, s.output) {
				return usage{fmt.Errorf("unknown output format %q, known are text, json, sarif and github", s.output)}
			}
			s.data, err = s.env.DataDirectory(s.data)
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			q.chosen = c.Flags().Changed("dialect")
			return s.lint(c.Context(), args, q)
		},
	}
	f := c.Flags()
	f.StringVar(&q.dialect, "dialect", "postgres", "`database` the files are for: postgres or sqlite")
	f.StringVar(&q.version, "server-version", "", "`version` of the server, for example 16 (default: the oldest that is supported)")
	f.StringArrayVar(&q.base, "base", nil, "`file` with the schema that exists before; read, not linted; may be repeated")
	f.StringVar(&q.schema, "schema", "", "`file` of shiplock schema snapshot: the schema that exists before, and the server's version")
	f.StringArrayVar(&q.ignore, "ignore", nil, "leave a rule out, with the reason: `PG116=nobody reads it`; may be repeated")
	f.StringVar(&q.phase, "phase", "expand", "what the files are for: `expand|contract`")
	f.StringVar(&q.explain, "explain", "", "explain a `rule`, for example PG116")
	f.StringVar(&q.environment, "environment", "", "without files: pending migrations of this `environment`")
	f.BoolVar(&q.alone, "alone", false, "the files are run by their tool alone, not through shiplock, which sets time-outs and counts statements")
	f.BoolVar(&q.transaction, "transaction", false, "the files are run within a transaction, where their tool is not known by their names and marks")
	f.BoolVar(&q.down, "down", false, "the files are ways down")
	return c
}

func (s *session) lint(ctx context.Context, args []string, q lintRequest) error {
	linter, err := lint.New(rules.All())
	if err != nil {
		return err
	}
	if q.explain != "" {
		return s.explainRule(q.explain)
	}
	if q.environment != "" && len(args) > 0 {
		return usage{errors.New("--environment is for the pending migrations of the project: with files, --schema takes the file of shiplock schema snapshot")}
	}
	if q.phase != "expand" && q.phase != "contract" {
		return usage{fmt.Errorf("--phase is expand or contract, not %q", q.phase)}
	}
	options, err := q.options()
	if err != nil {
		return err
	}
	if err := s.honour(&options); err != nil {
		return err
	}
	var found []lint.Finding
	if len(args) == 0 {
		found, err = s.lintPending(ctx, linter, q, options)
	} else {
		var files []lint.File
		if files, err = s.lintFiles(args, q); err == nil {
			found = linter.Run(files, options)
		}
	}
	if err != nil {
		return err
	}
	contract := q.phase == "contract"
	if err := s.printFindings(linter, found, contract); err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Blocks(contract) }) {
		return exitCode(5)
	}
	return nil
}

// honour leaves out what the configuration here leaves out, if there is one,
// and says what was left out and why.
func (s *session) honour(o *lint.Options) error {
	f, err := s.load()
	if _, wrong := errors.AsType[config.Errors](err); wrong {
		return err // it may say what to leave out
	}
	if err == nil {
		for _, i := range f.Ignore {
			if !isRule(i.Rule) {
				s.say("%s: lint.ignore: there is no rule %s, so nothing is left out", s.file, mask.Terminal(i.Rule))
			}
			o.Ignore = append(o.Ignore, lint.Ignore{Rule: i.Rule, Files: i.File, Reason: i.Reason})
		}
	}
	o.Ignored = func(f lint.Finding, reason string) {
		s.say("ignored: %s:%d: %s, because %s", f.File, f.Line, f.Rule, mask.Terminal(reason))
	}
	return nil
}

func (s *session) printFindings(l *lint.Linter, found []lint.Finding, contract bool) error {
	for i := range found {
		for _, text := range []*string{&found[i].Message, &found[i].Rewrite} {
			if s.output == "text" {
				*text = mask.Terminal(*text)
			}
		}
	}
	switch s.output {
	case "json":
		return lint.WriteJSON(s.out, found)
	case "sarif":
		return l.WriteSARIF(s.out, found, contract)
	case "github":
		return lint.WriteGitHub(s.out, found, contract)
	}
	return lint.WriteText(s.out, found, contract)
}

// options reads what is known of the database.
func (q lintRequest) options() (lint.Options, error) {
	o := lint.Options{Dialect: sqltext.Dialect(q.dialect), Schema: lint.NewSchema(), Alone: q.alone}
	if o.Dialect != sqltext.Postgres && o.Dialect != sqltext.SQLite {
		return o, usage{fmt.Errorf("unknown dialect %q, known are postgres and sqlite", q.dialect)}
	}
	if err := q.snapshot(&o); err != nil {
		return o, err
	}
	for _, text := range q.ignore {
		rule, reason, _ := strings.Cut(text, "=")
		if strings.TrimSpace(reason) == "" {
			return o, usage{fmt.Errorf("--ignore %s gives no reason; write --ignore %s=reason", text, rule)}
		}
		rule = strings.ToUpper(strings.TrimSpace(rule))
		if !isRule(rule) {
			return o, usage{fmt.Errorf("--ignore %s: there is no rule %s; docs/rules lists them", text, rule)}
		}
		o.Ignore = append(o.Ignore, lint.Ignore{Rule: rule, Reason: reason})
	}
	return o, q.learnBase(o)
}

// snapshot takes schema, dialect and version from a snapshot, if there is one.
func (q lintRequest) snapshot(o *lint.Options) (err error) {
	version := q.version
	if q.schema != "" {
		text, err := readMigration(q.schema, nil)
		if err != nil {
			return err
		}
		s, err := lint.ReadSnapshot([]byte(text))
		if err != nil {
			return ship.Errorf(ship.Invalid, "shiplock schema snapshot", "%s: %w", q.schema, err)
		}
		if q.chosen && s.Dialect != o.Dialect {
			return usage{fmt.Errorf("%s is the schema of a database of kind %s, and --dialect says %s", q.schema, s.Dialect, o.Dialect)}
		}
		o.Dialect, o.Schema = s.Dialect, s.Schema()
		if version == "" {
			version = s.Server
		}
	}
	if o.Version, err = lint.ParseVersion(o.Dialect, version); err != nil {
		return usage{err}
	}
	return nil
}

// learnBase reads the files with what exists before.
func (q lintRequest) learnBase(o lint.Options) error {
	for _, name := range q.base {
		names, err := sqlFiles(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			text, err := readMigration(n, nil)
			if err != nil {
				return err
			}
			for _, p := range lint.Parts(n, text) {
				if p.Down {
					continue
				}
				if err := lint.Learn(o.Schema, o.Dialect, n, p.Text); err != nil {
					return ship.Errorf(ship.Invalid, "", "%w", err)
				}
			}
		}
	}
	return nil
}

// lintPending lints what the project's own tool shows of its pending
// migrations.
func (s *session) lintPending(ctx context.Context, l *lint.Linter, q lintRequest, o lint.Options) ([]lint.Finding, error) {
	var args []string
	if q.environment != "" {
		args = []string{q.environment}
	}
	file, env, err := s.environment(args)
	if err != nil {
		return nil, err
	}
	o.Dialect = sqltext.Dialect(env.Database.Kind)
	if o.Version, err = lint.ParseVersion(o.Dialect, q.version); err != nil {
		return nil, usage{err}
	}
	var found []lint.Finding
	err = s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		rel, err := s.pick(ctx, cl, file, env, "")
		if err != nil {
			return err
		}
		m, err := cl.Migrations(ctx, wire.Migrations{Environment: env, Release: rel.Number})
		if err != nil {
			return err
		}
		if err := liveOptions(&o, m, q.version == ""); err != nil {
			return err
		}
		for _, problem := range append(m.Problems, m.Dirty) {
			if problem != "" {
				s.say(" ! %s", mask.Terminal(problem))
			}
		}
		found = l.Pending(m.Migrations, o)
		return nil
	})
	return found, err
}

// liveOptions takes what the environment's database told: its schema and,
// where no other one was asked for, its version.
func liveOptions(o *lint.Options, m wire.Migrations, version bool) error {
	if len(m.Known) == 0 || string(m.Known) == "null" {
		return nil
	}
	known, err := lint.ReadSnapshot(m.Known)
	if err != nil {
		return err
	}
	o.Schema, o.Live, o.Ahead = known.Schema(), true, map[string]bool{}
	for _, id := range m.Ahead {
		o.Ahead[id] = true
	}
	if version {
		if o.Version, err = lint.ParseVersion(o.Dialect, known.Server); err != nil {
			return usage{err}
		}
	}
	return nil
}

// known returns everything that may be found.
func known() []lint.Rule { return slices.Concat(lint.Notes(), rules.All()) }

func isRule(id string) bool {
	return slices.ContainsFunc(known(), func(r lint.Rule) bool { return r.ID == id })
}

func (s *session) explainRule(id string) error {
	for _, r := range known() {
		if strings.EqualFold(r.ID, id) {
			bad, good := rules.Examples(r.ID)
			_, err := io.WriteString(s.out, r.Page(bad, good))
			return err
		}
	}
	return usage{fmt.Errorf("there is no rule %s; docs/rules lists them", id)}
}

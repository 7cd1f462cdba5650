package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/ship"
)

// A rewriteRequest is what the flags of migrate rewrite say.
type rewriteRequest struct {
	lintRequest
	dir, convention string
	fill            []string
	write           bool

	tool migrate.Tool
	tree fs.FS // that the folder is in
}

func (s *session) migrateRewrite() *cobra.Command {
	var q rewriteRequest
	c := &cobra.Command{
		Use: "rewrite file…", Short: "Turn a dangerous migration into files the running release can live with", Args: cobra.MinimumNArgs(1),
		Long: "Turn a dangerous migration into files the running release can live with: those of phase expand, the\n" +
			"backfill, and those of phase contract, for a later release; in the form of the migration tool whose\n" +
			"files are in the folder. They are printed for review; --write writes them and overwrites nothing.\n" +
			"A statement that has no safe way is named with the reason, and what to do by hand; the command then\n" +
			"ends with 5 and writes nothing. - is standard input.",
		RunE: func(_ *cobra.Command, args []string) error { return s.rewrite(args, q) },
	}
	f := c.Flags()
	f.StringVar(&q.dir, "dir", "", "`folder` of the migrations (default: that of the file, else migrations)")
	f.StringVar(&q.convention, "convention", "", "`tool` the files are for: goose, golang-migrate, dbmate or flyway (default: as those in the folder)")
	f.StringVar(&q.dialect, "dialect", "postgres", "`database` the files are for: postgres or sqlite")
	f.StringVar(&q.version, "server-version", "", "`version` of the server, for example 16 (default: the oldest that is supported)")
	f.StringArrayVar(&q.base, "base", nil, "`file` with the schema that exists before, besides the migrations in the folder; may be repeated")
	f.StringVar(&q.schema, "schema", "", "`file` of shiplock schema snapshot: the schema that exists before, and the server's version")
	f.StringArrayVar(&q.fill, "fill", nil, "what rows without a value get: `table.column=expression`, for example orders.total='price * quantity'; may be repeated")
	f.BoolVar(&q.write, "write", false, "write the files")
	return c
}

// A rewritten is what the command prints.
type rewritten struct {
	Files    []rewrittenFile   `json:"files"`
	Refused  []rewrite.Refusal `json:"refused"`
	Notes    []string          `json:"notes"`
	Replaces []string          `json:"replaces"` // files to remove
	Written  bool              `json:"written"`
}

type rewrittenFile struct {
	Path  string     `json:"path"`
	Phase ship.Phase `json:"phase,omitempty"` // "" is for lint to judge
	Text  string     `json:"text"`
}

func (s *session) rewrite(args []string, q rewriteRequest) error {
	if err := q.open(args); err != nil {
		return err
	}
	out := rewritten{Files: []rewrittenFile{}, Refused: []rewrite.Refusal{}, Notes: []string{}, Replaces: []string{}}
	var plan rewrite.Plan
	for _, arg := range args {
		r, err := s.rewriteFile(arg, args, q)
		if err != nil {
			return err
		}
		out.Refused, out.Notes = append(out.Refused, r.Refused...), append(out.Notes, r.Notes...)
		if r.Changed > 0 {
			plan.Steps, plan.Backfills = append(plan.Steps, r.Steps...), append(plan.Backfills, r.Backfills...)
			out.Replaces = append(out.Replaces, arg)
		}
	}
	rewrite.Order(plan.Steps)
	files, err := q.render(plan, filepath.Join(filepath.Dir(s.file), "backfills"))
	if err != nil {
		return err
	}
	out.Files = append(out.Files, files...)
	if err := q.judge(&out, args); err != nil {
		return err
	}
	if q.write && len(out.Refused) == 0 {
		if err := writeNew(out.Files); err != nil {
			return err
		}
		out.Written = true
	}
	if err := s.print(out, func(w io.Writer) { printRewritten(w, out, q.write) }); err != nil {
		return err
	}
	if len(out.Refused) > 0 {
		return exitCode(5)
	}
	return nil
}

// open finds the folder, and the tool its files are for.
func (q *rewriteRequest) open(args []string) error {
	folders := []string{q.dir}
	if q.dir == "" {
		folders = []string{"migrations"}
		if args[0] != "-" {
			folders = []string{filepath.Dir(args[0]), "migrations"}
		}
	}
	var first error
	for _, dir := range folders {
		full, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		config, err := json.Marshal(map[string]string{"dir": filepath.Base(full), "convention": q.convention})
		if err != nil {
			return err
		}
		q.tool, err = builtin.Tools().Open(ship.Plugin{Kind: "sqlfiles", Config: config}, plugin.Deps{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		q.dir, q.tree = dir, os.DirFS(filepath.Dir(full))
		if _, err = q.tool.(migrate.Writer).Write(q.tree, nil, time.Now()); err == nil {
			return nil
		}
		if first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	return first
}

// known is what is known of the schema before a file, by those before it.
func (q rewriteRequest) known(file string, args []string) (lint.Options, error) {
	o, err := q.options()
	if err != nil {
		return o, err
	}
	all, err := q.tool.Files(q.tree)
	if err != nil {
		return o, err
	}
	for _, m := range all {
		at := filepath.Join(q.dir, path.Base(m.File))
		if file != "-" && same(at, file) {
			break
		}
		if slices.ContainsFunc(args, func(a string) bool { return a != "-" && same(a, at) }) {
			continue
		}
		_ = lint.Learn(o.Schema, o.Dialect, m.File, m.SQL) // what cannot be read is not known
	}
	return o, nil
}

func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// rewriteFile rewrites the way up of one file.
func (s *session) rewriteFile(arg string, args []string, q rewriteRequest) (rewrite.Result, error) {
	text, err := readMigration(arg, s.in)
	if err != nil {
		return rewrite.Result{}, err
	}
	o, err := q.known(arg, args)
	if err != nil {
		return rewrite.Result{}, err
	}
	r := rewrite.Request{Context: rewrite.Context{Dialect: o.Dialect, Version: o.Version, Schema: o.Schema}, Fill: map[string]string{}, Name: slug(arg)}
	for _, f := range q.fill {
		column, expr, ok := strings.Cut(f, "=")
		if !ok || !strings.Contains(column, ".") || strings.TrimSpace(expr) == "" {
			return rewrite.Result{}, usage{fmt.Errorf("--fill %s is not table.column=expression", f)}
		}
		r.Fill[lint.Plain(strings.TrimSpace(column))] = strings.TrimSpace(expr)
	}
	up := ""
	for _, part := range lint.Parts(arg, text) {
		if !part.Down {
			up = part.Text
		}
	}
	result, err := rewrite.Text(up, r)
	if err != nil {
		return result, ship.Errorf(ship.Invalid, "", "%s: %w", arg, err)
	}
	return result, nil
}

var (
	numberBefore = regexp.MustCompile(`^[VU]?[0-9][0-9._]*_+`)
	firstNumber  = regexp.MustCompile(`[0-9]+`)
	notName      = regexp.MustCompile(`[^a-z0-9]+`)
)

// slug is what a migration is about, by the name of its file.
func slug(file string) string {
	base := path.Base(filepath.ToSlash(file))
	base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, ".sql"), ".up"), ".down")
	base = strings.Trim(notName.ReplaceAllString(strings.ToLower(numberBefore.ReplaceAllString(base, "")), "_"), "_")
	if base == "" {
		return "rewritten"
	}
	return base
}

// render gives the steps their files.
func (q rewriteRequest) render(p rewrite.Plan, backfills string) ([]rewrittenFile, error) {
	var all []rewrittenFile
	filled := false
	fill := func(after string) {
		for _, b := range p.Backfills {
			all = append(all, rewrittenFile{Path: filepath.Join(backfills, after+b.Name+".sql"), Phase: ship.Backfill, Text: b.File()})
		}
		filled = true
	}
	drafts := make([]migrate.Draft, len(p.Steps))
	for i, step := range p.Steps {
		drafts[i] = draft(step)
	}
	before, number := 0, ""
	for i := range drafts {
		files, err := q.tool.(migrate.Writer).Write(q.tree, drafts[:i+1], time.Now())
		if err != nil {
			return nil, err
		}
		if p.Steps[i].Phase == ship.Contract && !filled {
			fill(number)
		}
		for _, f := range files[before:] {
			all = append(all, rewrittenFile{Path: filepath.Join(q.dir, path.Base(f.Path)), Phase: p.Steps[i].Phase, Text: f.Text})
			number = firstNumber.FindString(path.Base(f.Path)) + "_"
		}
		before = len(files)
	}
	if !filled {
		fill(number)
	}
	return all, nil
}

func draft(s rewrite.Step) migrate.Draft {
	d := migrate.Draft{Name: strings.Trim(notName.ReplaceAllString(strings.ToLower(s.Name), "_"), "_"), Up: s.Up, Down: s.Down, WhyNot: s.WhyNot, Alone: s.Alone}
	if s.Phase != "" {
		d.Header = []string{fmt.Sprintf("shiplock: phase=%s reason=%q", s.Phase, s.Reason)}
	}
	return d
}

// judge has lint look at what is kept as it was.
func (q rewriteRequest) judge(out *rewritten, args []string) error {
	linter, err := lint.New(rules.All())
	if err != nil {
		return err
	}
	o, err := q.known(args[0], args)
	if err != nil {
		return err
	}
	var files []lint.File
	kept := map[string]bool{}
	for _, f := range out.Files {
		if f.Phase == ship.Backfill {
			continue
		}
		kept[f.Path] = f.Phase == ""
		files = append(files, lint.Parts(f.Path, f.Text)...)
	}
	for _, f := range linter.Run(files, o) {
		switch {
		case !kept[f.File] || f.Class != lint.Block && f.Class != lint.Gate:
		case f.Class == lint.Gate:
			out.Notes = append(out.Notes, fmt.Sprintf("%s is for the contract phase: %s", strings.TrimSpace(f.Statement), f.Message))
		default:
			out.Refused = append(out.Refused, rewrite.Refusal{Statement: strings.TrimSpace(f.Statement), Reason: f.Message, ByHand: byHand(f)})
		}
	}
	return nil
}

func byHand(f lint.Finding) string {
	if f.Rewrite != "" {
		return f.Rewrite
	}
	return "shiplock lint --explain " + f.Rule
}

// writeNew writes files that are not there, all or none.
func writeNew(files []rewrittenFile) (err error) {
	var done []string
	defer func() {
		if err != nil {
			for _, name := range done {
				_ = os.Remove(name)
			}
		}
	}()
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil { //nolint:gosec // source files, read by everybody who works on them
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		w, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above
		if errors.Is(err, fs.ErrExist) {
			return ship.Errorf(ship.Invalid, "remove or rename it first", "%s is there already, and nothing is overwritten", f.Path)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		done = append(done, f.Path)
		_, err = io.WriteString(w, f.Text)
		if err = errors.Join(err, w.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func printRewritten(w io.Writer, out rewritten, write bool) {
	if len(out.Files)+len(out.Refused) == 0 {
		fmt.Fprintln(w, "There is nothing to rewrite.")
	}
	for _, f := range out.Files {
		phase := string(f.Phase)
		if phase == "" {
			phase = "as it was"
		}
		fmt.Fprintf(w, "── %s (%s)\n", mask.Terminal(f.Path), phase)
		if !out.Written {
			fmt.Fprintf(w, "%s\n", mask.Terminal(strings.TrimRight(f.Text, "\n")))
		}
	}
	for _, r := range out.Refused {
		where := ""
		if r.Line > 0 {
			where = fmt.Sprintf("line %d: ", r.Line)
		}
		fmt.Fprintf(w, " ✗ %s%s\n   not rewritten: %s\n   by hand: %s\n", where, mask.Terminal(r.Statement), mask.Terminal(r.Reason),
			strings.ReplaceAll(mask.Terminal(r.ByHand), "\n", "\n            "))
	}
	for _, n := range out.Notes {
		fmt.Fprintf(w, " ! %s\n", mask.Terminal(n))
	}
	switch {
	case len(out.Refused) > 0 && write:
		fmt.Fprintln(w, "Nothing was written.")
	case out.Written:
		fmt.Fprintf(w, "Next: rm %s, which they replace, and read them; files of phase contract belong to a later release.\n", mask.Terminal(strings.Join(out.Replaces, " ")))
	case len(out.Files) > 0 && len(out.Refused) == 0:
		fmt.Fprintln(w, "Next: the same with --write")
	}
}

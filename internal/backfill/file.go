package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Dir is the folder of a release that holds its backfills, in the order of
// their names.
const Dir = "backfills"

// The limits of what is read from a release.
const (
	maxFiles = 1000
	maxSize  = 256 << 10 // bytes of a file
	maxBatch = 1_000_000 // rows
)

// The defaults of a header. A batch begins small: what a row costs is found out.
const (
	defaultBatch = 1000
	// SQLite has one writer at a time, so that a batch of ours is everybody's
	// wait: it is kept short.
	targetPostgres = 300 * time.Millisecond
	targetSQLite   = 50 * time.Millisecond
)

// A File is a backfill as its author declared it: one statement that is
// carried out for a page of a table's rows, again and again.
type File struct {
	Name     string // path in the release, which is also its name in the ledger
	Checksum string // "sha256:…"
	Table    string // as it is written in SQL
	Key      []string
	Batch    int           // rows of the first batch
	Target   time.Duration // a batch is to take no longer than this and half as much again
	Reason   string

	dialect   sqltext.Dialect
	statement string
	marks     []sqltext.Mark
	check     string // counts the rows that are not done; "" when nothing can tell
}

// Read returns the backfills of a release, none when it has no such folder.
func Read(tree fs.FS, d sqltext.Dialect) ([]File, error) {
	entries, err := fs.ReadDir(tree, Dir)
	if err != nil {
		return nil, nil //nolint:nilerr // most releases have none; what is there and cannot be read fails below
	}
	var files []File
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" {
			continue
		}
		if len(files) == maxFiles {
			return nil, ship.Errorf(ship.Invalid, "remove those that are done everywhere", "%s has more than %d files", Dir, maxFiles)
		}
		name := path.Join(Dir, e.Name())
		if info, err := e.Info(); err == nil && info.Size() > maxSize {
			return nil, ship.Errorf(ship.Invalid, "a backfill is one statement", "%s has %d bytes, more than %d", name, info.Size(), maxSize)
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, fmt.Errorf("read backfill: %w", err)
		}
		f, err := Parse(name, string(text), d)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Parse reads one file. Everything it does not understand is an error of kind
// Invalid that names the file and the line.
func Parse(name, text string, d sqltext.Dialect) (File, error) {
	sum := sha256.Sum256([]byte(text))
	f := File{Name: name, Checksum: "sha256:" + hex.EncodeToString(sum[:]), Batch: defaultBatch, Target: targetPostgres, dialect: d}
	if d == sqltext.SQLite {
		f.Target = targetSQLite
	}
	all, err := sqltext.Split(text, d)
	if err != nil {
		return f, ship.Errorf(ship.Invalid, hint, "%s: %w", name, err)
	}
	line, err := f.header(text, d)
	if err == nil {
		line, err = f.statements(all)
	}
	if err != nil {
		return f, ship.Errorf(ship.Invalid, hint, "%s:%d: %w", name, line, err)
	}
	return f, nil
}

const hint = "write -- shiplock: backfill table=orders key=id, then UPDATE orders SET … WHERE … IS NULL AND :page;"

// header reads the one comment that says over which table and key to go.
func (f *File) header(text string, d sqltext.Dialect) (line int, err error) {
	for _, c := range sqltext.Comments(text, d) {
		body, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(c.Text, "--")), "shiplock:")
		if !ok || !strings.HasPrefix(c.Text, "--") {
			continue
		}
		if line > 0 {
			return c.Line, fmt.Errorf("there is a header on line %d already", line)
		}
		line = c.Line
		body, ok = strings.CutPrefix(strings.TrimSpace(body), "backfill")
		if !ok {
			return line, fmt.Errorf("the header does not begin with backfill")
		}
		if err := f.keys(body); err != nil {
			return line, err
		}
	}
	switch {
	case line == 0:
		return 1, fmt.Errorf("it has no header")
	case f.Table == "":
		return line, fmt.Errorf("the header names no table")
	case len(f.Key) == 0:
		return line, fmt.Errorf("the header names no key")
	}
	return line, nil
}

var (
	pair       = regexp.MustCompile(`^([a-z]+)=("[^"]*"|[^\s"]+)(?:\s+|$)`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*$`)
	table      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$`)
)

func (f *File) keys(body string) error {
	seen := map[string]bool{}
	for body = strings.TrimSpace(body); body != ""; {
		m := pair.FindStringSubmatch(body)
		if m == nil {
			return fmt.Errorf("%q is not key=value", body)
		}
		body = body[len(m[0]):]
		if seen[m[1]] {
			return fmt.Errorf("%s is there twice", m[1])
		}
		seen[m[1]] = true
		if err := f.set(m[1], strings.Trim(m[2], `"`)); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) set(key, value string) (err error) {
	switch key {
	case "table":
		if f.Table = value; !table.MatchString(value) {
			return fmt.Errorf("table %q is not a name of letters, digits and _", value)
		}
	case "key":
		for _, column := range strings.Split(value, ",") {
			if !identifier.MatchString(column) || slices.Contains(f.Key, column) {
				return fmt.Errorf("key %q is not a list of columns such as key=tenant,id", value)
			}
			f.Key = append(f.Key, column)
		}
	case "batch":
		if f.Batch, err = strconv.Atoi(value); err != nil || f.Batch < 1 || f.Batch > maxBatch {
			return fmt.Errorf("batch %q is not a number of rows from 1 to %d", value, maxBatch)
		}
	case "target":
		if f.Target, err = time.ParseDuration(value); err != nil || f.Target < time.Millisecond || f.Target > time.Minute {
			return fmt.Errorf("target %q is not a duration from 1ms to 1m", value)
		}
	case "reason":
		f.Reason = value
	default:
		return fmt.Errorf("%q is unknown, known are table, key, batch, target and reason", key)
	}
	return nil
}

// statements takes the statement that is carried out and the one that checks.
func (f *File) statements(all []sqltext.Statement) (line int, err error) {
	switch {
	case len(all) == 0:
		return 1, fmt.Errorf("it has no statement")
	case len(all) > 2:
		return all[2].Line, fmt.Errorf("it has %d statements: a backfill is one, and a SELECT that counts what is not done", len(all))
	}
	f.statement, line = all[0].SQL, all[0].Line
	verb := firstWord(f.statement)
	if verb != "UPDATE" && verb != "INSERT" {
		return line, fmt.Errorf("%s cannot be a backfill, only UPDATE and INSERT … SELECT can", verb)
	}
	if f.marks, err = sqltext.Marks(f.statement, f.dialect, "page"); err != nil {
		return line, err
	}
	if len(f.marks) == 0 {
		return line, fmt.Errorf("the %s has no :page, which says where the rows of a batch are chosen", verb)
	}
	if _, where, ok := sqltext.UpdateParts(f.statement, f.dialect); ok && sqltext.Alternatives(where, f.dialect) {
		return line, fmt.Errorf("the condition is one OR another: put them in parentheses, or :page is about the last of them alone")
	}
	if len(all) == 1 {
		f.check = f.derived()
		return line, nil
	}
	f.check, line = all[1].SQL, all[1].Line
	if firstWord(f.check) != "SELECT" {
		return line, fmt.Errorf("the second statement is to be a SELECT that counts the rows that are not done")
	}
	if marks, err := sqltext.Marks(f.check, f.dialect, "page"); err != nil || len(marks) > 0 {
		return line, fmt.Errorf("the check is about the whole table and has no :page")
	}
	return line, nil
}

// derived makes the check of an UPDATE whose condition leaves out what is
// done: whatever it would still change is not done.
func (f *File) derived() string {
	target, where, ok := sqltext.UpdateParts(f.statement, f.dialect)
	if !ok {
		return ""
	}
	marks, err := sqltext.Marks(where, f.dialect, "page")
	if err != nil {
		return ""
	}
	rest := strings.TrimSpace(replace(where, marks, func(sqltext.Mark) string { return "" }))
	if rest == "" {
		return "" // it changes every row, whether done or not
	}
	return fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", target, replace(where, marks, func(sqltext.Mark) string { return "TRUE" }))
}

func firstWord(sql string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	return strings.ToUpper(strings.TrimSpace(strings.SplitN(word, "\n", 2)[0]))
}

package rewrite

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// longest is how many bytes of a name PostgreSQL keeps.
const longest = 63

// name joins words to a name of an object. One that is too long ends in a
// digest of the whole, so that it stays one of a kind.
func name(words ...string) string {
	full := strings.Join(words, "_")
	if len(full) <= longest {
		return full
	}
	sum := sha256.Sum256([]byte(full))
	end := "_" + hex.EncodeToString(sum[:4])
	return strings.ToValidUTF8(full[:longest-len(end)], "") + end
}

// last takes the schema off a name.
func last(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

// beside puts a name into the schema of a table.
func beside(table, own string) string {
	if at := strings.LastIndexByte(table, '.'); at >= 0 {
		return table[:at+1] + own
	}
	return own
}

var plain = regexp.MustCompile(`^[a-z_][a-z0-9_$]*$`)

// key returns the columns by which a table can be gone through. Without a
// known primary key it is a guess.
func (c Context) key(table string) (columns []string, guessed bool) {
	if t := c.table(table); t != nil {
		for _, k := range t.Constraints {
			if k.Kind == "PRIMARY KEY" && len(k.Columns) > 0 {
				return k.Columns, false
			}
		}
	}
	return []string{"id"}, true
}

// fillable tells whether a backfill can name the table and its key.
func fillable(table string, key []string) bool {
	return !slices.ContainsFunc(append(strings.Split(table, "."), key...), func(s string) bool { return !plain.MatchString(s) || lint.Quote(s) != s })
}

func (c Context) table(table string) *lint.Table {
	if c.Schema == nil {
		return nil
	}
	return c.Schema.Table(table)
}

func (c Context) column(table, column string) *lint.Column {
	if c.Schema == nil {
		return nil
	}
	return c.Schema.Column(table, column)
}

// alter writes an ALTER TABLE.
func alter(table, what string) string { return "ALTER TABLE " + lint.Quote(table) + " " + what }

func alterColumn(table, column, what string) string {
	return alter(table, "ALTER COLUMN "+lint.Quote(column)+" "+what)
}

func addCheck(table, constraint, expr, options string) string {
	return alter(table, "ADD CONSTRAINT "+lint.Quote(constraint)+" CHECK ("+expr+")"+options)
}

func validate(table, constraint string) string {
	return alter(table, "VALIDATE CONSTRAINT "+lint.Quote(constraint))
}

func dropConstraint(table, constraint string) string {
	return alter(table, "DROP CONSTRAINT "+lint.Quote(constraint))
}

func dropConstraintIfThere(table, constraint string) string {
	return alter(table, "DROP CONSTRAINT IF EXISTS "+lint.Quote(constraint))
}

// value makes an expression on a table's columns one on the row of a trigger.
func value(table, expr string) string {
	if simple(expr) {
		return expr
	}
	return "(SELECT " + expr + " FROM (SELECT NEW.*) AS " + lint.Quote(last(table)) + ")"
}

var constant = regexp.MustCompile(`^(?:-?[0-9]+(?:\.[0-9]+)?|'(?:[^']|'')*'(?:::[a-z ]+)?|true|false|now\(\))$`)

// simple tells whether an expression needs no row.
func simple(expr string) bool { return constant.MatchString(strings.ToLower(expr)) }

// columnsOf returns the known columns of a table that a text mentions.
func (c Context) columnsOf(table, text string) []string {
	t := c.table(table)
	if t == nil {
		return nil
	}
	var all []string
	for _, word := range sqltext.Words(text, c.Dialect) {
		if t.Columns[word] != nil && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// mentions tells whether a text names a column.
func (c Context) mentions(text, column string) bool {
	return slices.Contains(sqltext.Words(text, c.Dialect), column)
}

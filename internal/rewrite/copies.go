package rewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A copied is an index or constraint of a column that its successor gets, too.
type copied struct {
	expand, contract []Step
	end              []string // gives it its name, when the former is gone
}

// copies returns what depends on a column, made for its successor; or why that
// cannot be.
func (c Context) copies(r pair) ([]copied, *Refusal) {
	t := c.table(r.table)
	if t == nil || r.was == nil {
		return nil, unknownType(r.table, r.from)
	}
	if refusal := c.unmovable(r, t); refusal != nil {
		return nil, refusal
	}
	var all []copied
	for _, own := range slices.Sorted(maps.Keys(t.Constraints)) {
		k := t.Constraints[own]
		if slices.Contains(k.Columns, r.from) || k.Kind == "CHECK" && c.mentions(k.Expr, r.from) {
			all = append(all, c.copyConstraint(r, k))
		}
	}
	for _, i := range c.Schema.Indexes(r.table) {
		if i.Text != "" && (slices.Contains(i.Columns, r.from) || i.Complex && c.mentions(i.Text, r.from)) {
			all = append(all, c.copyIndex(r, i))
		}
	}
	return all, nil
}

// unmovable refuses what a column beside another cannot take over.
func (c Context) unmovable(r pair, t *lint.Table) *Refusal {
	why := ""
	switch {
	case t.Partitioned || t.Parent != "":
		why = "the table is partitioned"
	case r.was.Generated != "":
		why = "it is generated"
	case r.was.Identity || strings.Contains(strings.ToLower(r.was.Default), "nextval"):
		why = "its numbers come from a sequence of its own"
	case len(c.Schema.ViewsOn(r.table, r.from)) > 0:
		why = "the view " + c.Schema.ViewsOn(r.table, r.from)[0] + " reads it"
	case len(c.Schema.Referencing(r.table, r.from)) > 0:
		why = "a foreign key of " + c.Schema.Referencing(r.table, r.from)[0] + " points to it"
	}
	for _, k := range t.Constraints {
		if why == "" && k.Kind == "UNIQUE" && k.Options != "" && slices.Contains(k.Columns, r.from) {
			why = fmt.Sprintf("%s is UNIQUE … %s", k.Name, k.Options)
		}
		if why == "" && slices.Contains(k.Columns, r.from) && (k.Kind == "PRIMARY KEY" || k.Kind == "EXCLUDE") {
			why = "it belongs to the " + strings.ToLower(strings.TrimSuffix(k.Kind, " KEY")) + " key"
			if k.Kind == "EXCLUDE" {
				why = "it belongs to an EXCLUDE constraint"
			}
		}
	}
	if why == "" {
		return nil
	}
	return &Refusal{
		Reason: fmt.Sprintf("%s.%s has no successor that a trigger could keep in step: %s", r.table, r.from, why),
		ByHand: "keep the old name or type in the database (the ORM may use another: db_column in Django, Column(\"name\") in SQLAlchemy); or deploy it with --accept hold or --accept maintenance",
	}
}

// copyConstraint makes a constraint for the successor. It refuses nothing that
// the one it is made of does not.
func (c Context) copyConstraint(r pair, k *lint.Constraint) copied {
	own := name(k.Name, "new")
	columns := slices.Clone(k.Columns)
	for i, column := range columns {
		if column == r.from {
			columns[i] = r.to
		}
	}
	rename := alter(r.table, "RENAME CONSTRAINT "+lint.Quote(own)+" TO "+lint.Quote(k.Name))
	if k.Kind == "UNIQUE" {
		return copied{
			expand: []Step{{
				Name: own, Phase: ship.Expand, Reason: "refuses what " + k.Name + " refuses; the index is built while reads and writes go on", Alone: true,
				Up:   []string{fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s)", lint.Quote(own), lint.Quote(r.table), lint.Quotes(columns))},
				Down: []string{"DROP INDEX CONCURRENTLY IF EXISTS " + lint.Quote(beside(r.table, own))},
			}},
			end: []string{alter(r.table, "ADD CONSTRAINT "+lint.Quote(k.Name)+" UNIQUE USING INDEX "+lint.Quote(own))},
		}
	}
	made := Constraint{New: true}
	made.Kind, made.Columns, made.References, made.RefColumns, made.Options = k.Kind, columns, k.References, k.RefColumns, k.Options
	made.Expr = sqltext.Rename(k.Expr, c.Dialect, r.from, lint.Quote(r.to))
	out := copied{
		expand: []Step{{
			Name: own, Phase: ship.Expand, Reason: "refuses what " + k.Name + " refuses; no row is read",
			Up: []string{alter(r.table, "ADD CONSTRAINT "+lint.Quote(own)+" "+made.text()+" NOT VALID")}, Down: []string{dropConstraintIfThere(r.table, own)},
		}},
		end: []string{rename},
	}
	if k.Valid {
		out.contract = []Step{{
			Name: own + "_validate", Phase: ship.Contract, Reason: "reads all rows while reads and writes go on",
			Up: []string{validate(r.table, own)},
		}}
	}
	return out
}

// copyIndex builds an index of the successor.
func (c Context) copyIndex(r pair, i *lint.Index) copied {
	own := name(i.Name, "new")
	text := sqltext.Rename(i.Text, c.Dialect, r.from, lint.Quote(r.to))
	m := createIndex.FindStringSubmatch(text)
	if m == nil {
		return copied{}
	}
	_, on, _ := cutWord(m[2], "ON")
	return copied{
		expand: []Step{{
			Name: own, Phase: ship.Expand, Reason: "stands in for " + i.Name + "; it is built while reads and writes go on", Alone: true,
			Up:   []string{m[1] + " CONCURRENTLY " + lint.Quote(own) + " ON " + on},
			Down: []string{"DROP INDEX CONCURRENTLY IF EXISTS " + lint.Quote(beside(r.table, own))},
		}},
		end: []string{fmt.Sprintf("ALTER INDEX %s RENAME TO %s", lint.Quote(beside(r.table, own)), lint.Quote(last(i.Name)))},
	}
}

// cutWord cuts a text around a word, whatever its case.
func cutWord(text, word string) (before, after string, found bool) {
	fields := strings.ToUpper(" " + strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, text))
	at := strings.Index(fields, " "+word+" ")
	if at < 0 {
		return text, "", false
	}
	return strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+len(word)+1:]), true
}

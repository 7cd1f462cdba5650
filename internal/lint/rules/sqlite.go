package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// refusedBySQLite says why ADD COLUMN does not do it, or "".
func refusedBySQLite(d sqltext.ColumnDef) string {
	computed := strings.HasPrefix(d.Default, "(") || strings.HasPrefix(strings.ToLower(d.Default), "current_")
	switch {
	case d.Primary:
		return "as PRIMARY KEY"
	case d.Unique:
		return "UNIQUE"
	case d.Generated == "stored":
		return "STORED"
	case computed:
		return "with a default that is computed"
	case d.NotNull && !filled(d):
		return "NOT NULL without a default"
	case d.References != "" && filled(d):
		return "that references another table, with a default"
	}
	return ""
}

// rebuildSteps make a table anew in the order that loses nothing.
func rebuildSteps(o *lint.Op) string {
	t := lint.Quote(o.Table)
	n := lint.Quote("new_" + o.Table)
	return fmt.Sprintf("PRAGMA foreign_keys = OFF; -- before BEGIN\nBEGIN;\nCREATE TABLE %s (…); -- as it is to be\nINSERT INTO %s (…) SELECT … FROM %s;\nDROP TABLE %s;\n"+
		"ALTER TABLE %s RENAME TO %s;\n-- CREATE INDEX, TRIGGER and VIEW again\nPRAGMA foreign_key_check;\nCOMMIT;\nPRAGMA foreign_keys = ON;", n, n, t, t, n, t)
}

func sqliteVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000) }

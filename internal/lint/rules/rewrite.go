package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// lines joins the steps of a rewrite, leaving out empty ones.
func lines(steps ...string) string {
	var all []string
	for _, s := range steps {
		if s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, "\n")
}

// last takes the schema off a name.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// number tells several objects of one kind apart.
func number(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprint(i)
}

// known is a lock on a table, unless the release creates it.
func known(o *lint.Op, table, mode string) []lint.Lock {
	if table == "" || !o.Known(table) || lint.Plain(table) == o.Table {
		return nil
	}
	return lint.On(table, mode)
}

// partText is the text of the action.
func partText(o *lint.Op) string { return o.SQL[o.Part.Start:o.Part.End] }

// given writes the default and NOT NULL of a column.
func given(d sqltext.ColumnDef) string {
	text := ""
	if d.Default != "" {
		text += " DEFAULT " + d.Default
	}
	if d.NotNull && filled(d) {
		text += " NOT NULL"
	}
	return text
}

func addColumn(o *lint.Op, kind, options string) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s%s;", lint.Quote(o.Table), lint.Quote(o.Part.Name), kind, options)
}

func alterColumn(o *lint.Op, what string) string {
	return fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s %s;", lint.Quote(o.Table), lint.Quote(o.Part.Name), what)
}

// fill is a step of rows, for a file of its own.
func fill(o *lint.Op, set, where string) string {
	return fmt.Sprintf("-- in batches, each in a transaction of its own:\nUPDATE %s SET %s WHERE %s;", lint.Quote(o.Table), set, where)
}

// safely is what is known, for the safe way of an operation.
func safely(o *lint.Op) rewrite.Context {
	d := sqltext.Postgres
	if o.Version >= 3000 {
		d = sqltext.SQLite
	}
	return rewrite.Context{Dialect: d, Version: o.Version, Schema: o.Schema}
}

// notNullSteps make a column NOT NULL without a scan under the lock.
func notNullSteps(o *lint.Op, column string, wanted bool) string {
	if !wanted {
		return ""
	}
	p, _ := safely(o).NotNull(o.Table, column, "") // without a value there is nothing to refuse
	return p.SQL()
}

// checkSteps add a CHECK without a scan under the lock.
func checkSteps(o *lint.Op, name, expr string) string {
	k := rewrite.Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: "CHECK", Name: name, Expr: expr}}
	return safely(o).NotValid(o.Table, k).SQL()
}

// foreignSteps add a foreign key without reading under the lock.
func foreignSteps(o *lint.Op, name string, columns []string, to string, toColumns []string) string {
	k := rewrite.Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: "FOREIGN KEY", Name: name, Columns: columns, References: to, RefColumns: toColumns}}
	return safely(o).NotValid(o.Table, k).SQL()
}

// uniqueSteps build the index without keeping writers off.
func uniqueSteps(o *lint.Op, name, kind string, columns []string) string {
	k := rewrite.Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: kind, Name: name, Columns: columns}}
	p, refusal := safely(o).Unique(o.Table, k)
	if refusal == nil {
		return p.SQL()
	}
	var steps []string // a primary key makes its columns NOT NULL
	for _, column := range columns {
		steps = append(steps, notNullSteps(o, column, true))
	}
	k.Kind = "UNIQUE"
	p, _ = safely(o).Unique(o.Table, k)
	return lines(append(steps, strings.Replace(p.SQL(), " UNIQUE USING ", " PRIMARY KEY USING ", 1))...)
}

// sequenceSteps give a column numbers without writing the table anew.
func sequenceSteps(o *lint.Op, column, kind string) string {
	t, c := lint.Quote(o.Table), lint.Quote(column)
	s := lint.Quote(last(o.Table) + "_" + column + "_seq")
	return lines(
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", t, c, kind),
		fmt.Sprintf("CREATE SEQUENCE %s OWNED BY %s.%s;", s, t, c),
		fmt.Sprintf("GRANT USAGE ON SEQUENCE %s TO …; -- the application's role", s),
		fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT nextval('%s');", t, c, s),
		fill(o, fmt.Sprintf("%s = nextval('%s')", c, s), c+" IS NULL"),
	)
}

// renameSteps put the new column beside the old one.
func renameSteps(o *lint.Op) string {
	rename := safely(o).Rename
	if o.Version >= 3000 {
		rename = safely(o).RenameSQLite
	}
	p, refusal := rename(o.Table, o.Part.Name, o.Part.To)
	return safeWay(p, refusal)
}

// safeWay is a plan as text, or why there is none.
func safeWay(p rewrite.Plan, refusal *rewrite.Refusal) string {
	if refusal == nil {
		return p.SQL()
	}
	return "-- " + strings.ReplaceAll(refusal.Reason+";\n"+refusal.ByHand, "\n", "\n-- ")
}

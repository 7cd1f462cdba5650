package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
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

// notNullSteps make a column NOT NULL without a scan under the lock.
func notNullSteps(o *lint.Op, column string, wanted bool) string {
	if !wanted {
		return ""
	}
	t, c := lint.Quote(o.Table), lint.Quote(column)
	k := lint.Quote(last(o.Table) + "_" + column + "_not_null")
	if o.Version >= 18 {
		return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s;", t, k, c, t, k)
	}
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s; -- in a transaction of its own\n"+
		"ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\nALTER TABLE %s DROP CONSTRAINT %s;", t, k, c, t, k, t, c, t, k)
}

// checkSteps add a CHECK without a scan under the lock.
func checkSteps(table, name, expr string) string {
	t, k := lint.Quote(table), lint.Quote(name)
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s) NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s; -- in a transaction of its own", t, k, expr, t, k)
}

// foreignSteps add a foreign key without reading under the lock.
func foreignSteps(table, name string, columns []string, to string, toColumns []string) string {
	t, k, ref := lint.Quote(table), lint.Quote(name), lint.Quote(lint.Plain(to))
	if len(toColumns) > 0 {
		ref += " (" + lint.Quotes(toColumns) + ")"
	}
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s NOT VALID;\nALTER TABLE %s VALIDATE CONSTRAINT %s; -- in a transaction of its own",
		t, k, lint.Quotes(columns), ref, t, k)
}

// uniqueSteps build the index without keeping writers off.
func uniqueSteps(table, name, kind string, columns []string) string {
	t, k := lint.Quote(table), lint.Quote(name)
	return fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s); -- outside of a transaction\nALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s;",
		k, t, lint.Quotes(columns), t, k, kind, k)
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
	t, from, to := lint.Quote(o.Table), lint.Quote(o.Part.Name), lint.Quote(o.Part.To)
	kind := "…"
	if c := o.Column(); c != nil && c.Type != "" {
		kind = c.Type
	}
	return lines(
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", t, to, kind),
		"-- a trigger on INSERT and UPDATE writes both, until no release uses the old one; then:",
		fill(o, fmt.Sprintf("%s = %s", to, from), fmt.Sprintf("%s IS DISTINCT FROM %s", to, from)),
		fmt.Sprintf("-- in a later release:\nALTER TABLE %s DROP COLUMN %s;", t, from),
	)
}

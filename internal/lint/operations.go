package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// notShown begins the word a tool adds when it cannot print SQL.
const notShown = "SQL not shown"

// isDjango tells Django's operations, which are names of classes, from
// Alembic's, which are names of functions.
func isDjango(operations []string) bool {
	return slices.ContainsFunc(operations, func(op string) bool {
		return op != "" && op[0] >= 'A' && op[0] <= 'Z' && !strings.HasPrefix(op, notShown)
	})
}

// django reads a migration of Django by its operations, and by its SQL where
// the operation's name does not decide.
func (s *scope) django(m ship.Migration) []Finding {
	inText := s.text(m)
	app, _, _ := strings.Cut(m.ID, ".")
	var found []Finding
	for _, op := range m.Operations {
		kind, target, _ := strings.Cut(op, " ")
		switch {
		case strings.HasPrefix(op, notShown), s.djangoNew(app, kind, target):
		case kind != "AddField" && kind != "AlterField":
			if h, ok := djangoOperation(kind, op); !ok {
				found = append(found, say(h))
			}
		case m.SQL == "":
			found = append(found, say(Hit{Message: fmt.Sprintf("%s: Django shows no SQL for it, so nobody can tell whether the running release can live with it; say why with a declaration.", op)}))
		case s.run.options.Dialect == sqltext.SQLite:
			found = append(found, s.djangoField(kind, target, m.SQL)...)
		}
	}
	decided := len(found) > 0
	for _, f := range inText {
		// A table of SQLite made anew is judged by the operations, and the
		// index of a RemoveIndex is never a unique one. Where operations
		// decide, the text adds what is not about the running release.
		judged := f.Rule == "SL109" || strings.HasPrefix(f.Message, "DROP INDEX")
		if f.Breaks && (decided || judged) {
			continue
		}
		found = append(found, f)
	}
	return found
}

// djangoNew tells whether an operation changes only what this release creates,
// and remembers what it creates.
func (s *scope) djangoNew(app, kind, target string) bool {
	if kind == "RunPython" || kind == "RunSQL" || target == "" {
		return false
	}
	words := strings.Fields(target)
	name, _, isField := strings.Cut(words[0], ".")
	model, field := app+"."+name, app+"."+words[0]
	switch known := !s.isNew("model", model); {
	case kind == "CreateModel":
		s.made("model", model)
	case kind == "RenameModel" && !known:
		s.made("model", app+"."+words[len(words)-1])
	case kind == "AddField" && known:
		s.made("field", field)
		return false
	case kind == "RenameField" && known && s.isNew("field", field):
		s.made("field", model+"."+words[len(words)-1])
	case kind == "RemoveField" && known:
		return isField && s.isNew("field", field)
	case known:
		return false
	}
	return true
}

// djangoOperation says what an operation does whose name decides; ok is true
// when the running release can live with it.
func djangoOperation(kind, op string) (h Hit, ok bool) {
	switch kind {
	case "CreateModel", "AddIndex", "AddIndexConcurrently", "AlterModelOptions", "AlterModelManagers", "AlterModelTableComment", "AlterIndexTogether",
		"RenameIndex", "RemoveIndex", "RemoveIndexConcurrently", "ValidateConstraint", "CreateExtension", "CreateCollation":
		return Hit{}, true
	case "RunPython":
		return Hit{Data: true, Message: "RunPython runs code that cannot be read here; if it changes rows in batches and the running release can live with it, declare phase=backfill with the reason."}, false
	case "RunSQL":
		return Hit{Message: "RunSQL runs statements Django does not know; say with a declaration why the running release can live with them."}, false
	case "RemoveField":
		return Hit{Class: Gate, Message: op + " drops the column: every query of the running release that names it fails, and its values are lost; remove it from the model in one release, and from the database in a later one."}, false
	case "DeleteModel":
		return Hit{Class: Gate, Message: op + " drops the table: every query of the running release that names it fails, and its rows are lost; remove the model's use in one release, and the table in a later one."}, false
	case "RenameField", "RenameModel", "AlterModelTable":
		return Hit{Keeps: true, Message: op + " takes away a name that the queries of the running release use; keep it with db_column or db_table, or add the new one beside it."}, false
	case "AlterUniqueTogether", "AddConstraint", "AddConstraintNotValid":
		return Hit{Keeps: true, Message: op + " makes writes of the running release that do not satisfy it fail; let a release go first that always does."}, false
	case "RemoveConstraint":
		return Hit{Message: op + " lets in what the running release does not expect, and its ON CONFLICT fails if it was unique; remove it in a later release."}, false
	}
	if strings.HasSuffix(kind, "Extension") {
		return Hit{}, true
	}
	return Hit{Message: op + " is not understood, so nobody can tell whether the running release can live with it; say why with a declaration."}, false
}

// djangoField judges a field by the table that SQLite gets in place of the
// former one.
func (s *scope) djangoField(kind, target, sql string) []Finding {
	model, field, _ := strings.Cut(target, ".")
	all, err := sqltext.Split(sql, s.run.options.Dialect)
	if err != nil || len(all) == 0 {
		return nil // unreadable is found in the text, and nothing to do is no change
	}
	column := func(name string) bool { return name == field || name == field+"_id" }
	for _, st := range all {
		h := st.Head(s.run.options.Dialect)
		switch {
		case len(h.Names) != 1 || h.Object != "TABLE":
		case h.Verb == "ALTER" && slices.ContainsFunc(h.Actions, func(a sqltext.Action) bool { return a.Verb == "ADD COLUMN" && column(a.Name) }):
			return nil // found in the text
		case h.Verb == "CREATE" && kind == "AddField" && strings.HasSuffix(h.Names[0], "_"+model+"_"+field):
			return nil // the table of a ManyToManyField
		case h.Verb == "CREATE" && strings.HasPrefix(h.Names[0], "new__"):
			if !strings.HasSuffix(h.Names[0], "_"+model) || s.run.schema.NewTable(strings.TrimPrefix(h.Names[0], "new__")) {
				continue
			}
			i := slices.IndexFunc(h.Columns, func(c sqltext.Column) bool { return column(c.Name) })
			if kind == "AddField" && i >= 0 && (!h.Columns[i].NotNull || h.Columns[i].Default != "") {
				return nil
			}
			if kind == "AddField" {
				return []Finding{say(Hit{Message: fmt.Sprintf("AddField %s adds a column that is NOT NULL and has no default in the database: every insert of the running release fails; "+
					"add it with null=True or db_default.", target)})}
			}
			return []Finding{say(Hit{Message: fmt.Sprintf("AlterField %s makes the table anew with another column, and what changed cannot be told from the text; "+
				"say with a declaration why the running release can live with it.", target)})}
		}
	}
	return nil
}

// alembic reads a migration of Alembic whose SQL cannot be shown.
func alembic(operations []string) []Finding {
	harmless := []string{"create_table", "create_table_comment", "f", "get_bind", "get_context", "inline_literal", "batch_alter_table"}
	why := "its SQL is not shown"
	var found []Finding
	for _, op := range operations {
		if strings.HasPrefix(op, notShown) {
			why = op
		}
	}
	for _, op := range operations {
		kind, _, _ := strings.Cut(op, " ")
		if strings.HasPrefix(op, notShown) || slices.Contains(harmless, kind) {
			continue
		}
		found = append(found, say(Hit{
			Data:    kind == "bulk_insert",
			Message: fmt.Sprintf("%s cannot be judged (%s); say with a declaration why the running release can live with it.", op, why),
		}))
	}
	if len(found) == 0 && why != "its SQL is not shown" {
		found = append(found, say(Hit{Message: fmt.Sprintf("What it does cannot be read (%s); say with a declaration why the running release can live with it.", why)}))
	}
	return found
}

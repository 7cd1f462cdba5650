package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// statement returns what is found in one.
func (s *scope) statement(st sqltext.Statement, h sqltext.Head) []finding {
	switch h.Verb {
	case "CREATE":
		return s.create(h)
	case "DROP":
		return s.drop(h)
	case "ALTER":
		if h.Object == "TABLE" || h.Object == "FOREIGN TABLE" {
			return s.alterTable(h)
		}
		return s.alterOther(st, h)
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "COPY", "TRUNCATE":
		return s.rows(h)
	case "WITH", "EXPLAIN":
		if h.Object == "SELECT" {
			return nil
		}
		return []finding{{text: fmt.Sprintf("%s … %s changes rows the running release uses; do it in batches, in a migration that is declared phase=backfill.", h.Verb, h.Object), data: true}}
	case "":
		return []finding{unread(st)}
	}
	return s.other(st, h)
}

// unread is what is found in a statement that is not understood.
func unread(st sqltext.Statement) finding {
	words := strings.Fields(st.SQL)
	return finding{text: fmt.Sprintf("`%s` is not understood, so nobody can tell whether the running release can live with it; "+
		"say why with a declaration.", strings.Join(words[:min(6, len(words))], " "))}
}

// bookkeeping are the tables in which migration tools keep their history.
func bookkeeping(table string) bool {
	return slices.Contains([]string{"alembic_version", "django_migrations", "schema_migrations", "goose_db_version", "flyway_schema_history"}, plain(table))
}

// rows finds changes of rows that the running release may use.
func (s *scope) rows(h sqltext.Head) []finding {
	table := "a table"
	if len(h.Names) == 1 {
		table = plain(h.Names[0])
	}
	if s.newTable(table) || bookkeeping(table) {
		return nil
	}
	if h.Verb == "TRUNCATE" {
		return []finding{{text: fmt.Sprintf("TRUNCATE %s removes rows that the running release uses, and they are lost; "+
			"remove what nobody uses in batches, in a later release.", table)}}
	}
	if h.Verb == "INSERT" || h.Verb == "COPY" {
		return []finding{{data: true, keeps: true, text: fmt.Sprintf("%s puts rows into %s that the running release will read; "+
			"declare phase=backfill with the reason why it can live with them.", h.Verb, table)}}
	}
	return []finding{{data: true, text: fmt.Sprintf("%s changes rows of %s that the running release uses, and locks them until it is done; "+
		"do it in batches and declare phase=backfill with the reason why the running release can live with it.", h.Verb, table)}}
}

func (s *scope) create(h sqltext.Head) []finding {
	name := strings.Join(h.Names, ", ")
	kind := strings.ToLower(h.Object)
	known := h.On != "" && !s.newTable(h.On) && !s.rebuilt[plain(h.On)]
	existing := h.OrReplace && !s.isNew(kind, name)
	s.made(kind, name)
	switch h.Object {
	case "TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA", "EXTENSION", "STATISTICS", "PUBLICATION",
		"COLLATION", "VIRTUAL TABLE", "FOREIGN TABLE", "SERVER", "FOREIGN DATA WRAPPER", "USER MAPPING", "ROLE", "USER", "GROUP",
		"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "ACCESS METHOD":
		return nil
	case "INDEX":
		var columns []string
		for _, c := range h.Columns {
			columns = append(columns, c.Name)
		}
		if !h.Unique || !known || s.onNewColumns(h.On, columns) {
			return nil
		}
		return []finding{{keeps: true, text: fmt.Sprintf("CREATE UNIQUE INDEX on %s makes writes of the running release fail when they repeat a value; "+
			"let a release go first that never does.", plain(h.On))}}
	case "FUNCTION", "PROCEDURE", "AGGREGATE":
		if !existing {
			return nil
		}
		return []finding{{text: fmt.Sprintf("CREATE OR REPLACE %s %s changes what the running release calls; give the new one another name.", h.Object, name)}}
	case "TRIGGER", "RULE", "POLICY":
		if !known {
			return nil
		}
		return []finding{{text: fmt.Sprintf("CREATE %s %s changes what the writes and queries of the running release do to %s; "+
			"try it with that release and say with a declaration why it can live with it.", h.Object, name, plain(h.On))}}
	}
	return []finding{{text: fmt.Sprintf("CREATE %s changes more than tables; say with a declaration why the running release can live with it.", h.Object)}}
}

// consequences says of a DROP what breaks and the safe way.
func consequences(object string) (breaks, instead string) {
	switch object {
	case "TABLE", "FOREIGN TABLE", "VIRTUAL TABLE":
		return "makes every query of the running release that names it fail, and its rows are lost", "stop using it first, and drop it in a later release"
	case "VIEW", "MATERIALIZED VIEW":
		return "makes every query of the running release that names it fail", "make the new view under another name, and drop this one in a later release"
	case "INDEX":
		return "makes queries of the running release slow and, if it is unique, lets repeated values in and makes its ON CONFLICT fail", "drop it in a later release, when nothing uses it"
	case "TRIGGER", "RULE":
		return "leaves out what the running release relies on its writes to do", "drop it in a later release, when the code does it itself"
	case "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE":
		return "makes every call of the running release to it fail", "keep it until a later release"
	case "SEQUENCE":
		return "makes inserts of the running release that take a number from it fail", "keep it until a later release"
	case "TYPE", "DOMAIN":
		return "takes columns of that type with it, or fails because there are some", "change the columns first, in an earlier release"
	case "POLICY":
		return "hides rows from the running release, or shows it rows it should not see", "make the new policy first, and drop this one in a later release"
	case "SCHEMA", "EXTENSION", "OWNED", "DATABASE":
		return "takes everything in it with it", "drop what is in it first, one by one, in a later release"
	}
	return "takes away what the running release may use", "drop it in a later release"
}

func (s *scope) drop(h sqltext.Head) []finding {
	var found []finding
	for _, name := range h.Names {
		kind := strings.ToLower(h.Object)
		onNew := h.On != "" && s.newTable(h.On)
		if s.isNew(kind, name) || onNew || h.Object == "STATISTICS" {
			delete(s.objects, kind+" "+plain(name))
			continue
		}
		breaks, instead := consequences(h.Object)
		found = append(found, finding{text: fmt.Sprintf("DROP %s %s %s; %s.", h.Object, plain(name), breaks, instead)})
	}
	if len(h.Names) == 0 {
		breaks, instead := consequences(h.Object)
		found = append(found, finding{text: fmt.Sprintf("DROP %s %s; %s.", h.Object, breaks, instead)})
	}
	return found
}

// other finds what is wrong with statements that neither change rows of a
// table they name nor the schema by name.
func (s *scope) other(st sqltext.Statement, h sqltext.Head) []finding {
	name := "a table"
	if len(h.Names) > 0 {
		name = plain(h.Names[0])
	}
	switch h.Verb {
	case "SET", "RESET", "COMMENT", "GRANT", "BEGIN", "START", "COMMIT", "END", "ANALYZE", "VALUES", "SHOW", "TABLE", "CHECKPOINT", "SECURITY":
		return nil
	case "SELECT":
		return selects(st, h)
	case "PRAGMA":
		if slices.Contains([]string{"foreign_keys", "foreign_key_check", "defer_foreign_keys", "legacy_alter_table", "integrity_check", "optimize"}, name) {
			return nil
		}
		return []finding{{text: fmt.Sprintf("PRAGMA %s changes how the running release sees the database; say with a declaration why it can live with it.", name)}}
	case "REVOKE":
		return []finding{{text: "REVOKE makes what the running release was allowed to do fail; take the right away in a later release, when nothing uses it."}}
	case "VACUUM":
		if h.Object == "" {
			return nil
		}
		return []finding{{text: "VACUUM FULL keeps the running release from reading and writing until the table is written anew; do it outside of a deployment."}}
	case "CLUSTER", "LOCK":
		return []finding{{text: fmt.Sprintf("%s keeps the running release from using %s until it is done; do without it.", h.Verb, name)}}
	case "REINDEX", "REFRESH":
		if h.Concurrently || s.isNew("materialized view", name) || s.newTable(name) {
			return nil
		}
		return []finding{{text: fmt.Sprintf("%s keeps the running release from using %s until it is done; do it CONCURRENTLY.", h.Verb, name)}}
	case "DO", "CALL":
		return []finding{{text: fmt.Sprintf("%s runs code that cannot be read here; say with a declaration why the running release can live with it.", h.Verb)}}
	}
	return []finding{unread(st)}
}

// selects accepts queries that call nothing which could change something.
func selects(st sqltext.Statement, h sqltext.Head) []finding {
	harmless := []string{"set_config", "pg_catalog.set_config", "count", "max", "min", "sum", "coalesce", "now", "exists", "in", "values", "version"}
	for _, call := range h.Calls {
		if !slices.Contains(harmless, call) {
			return []finding{{text: fmt.Sprintf("SELECT calls %s, which may change something; say with a declaration why the running release can live with it.", call)}}
		}
	}
	if slices.ContainsFunc(strings.Fields(strings.ToUpper(st.SQL)), func(w string) bool { return w == "INTO" }) {
		return []finding{unread(st)}
	}
	return nil
}

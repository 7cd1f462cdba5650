package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

func (s *scope) alterTable(h sqltext.Head) []finding {
	if len(h.Names) != 1 {
		return nil
	}
	table := plain(h.Names[0])
	var found []finding
	for _, a := range h.Actions {
		if s.newTable(table) {
			if a.Verb == "RENAME TO" && !s.rebuilt[plain(a.To)] {
				s.made("table", a.To)
			}
			continue
		}
		if text := s.action(table, a); text != "" {
			found = append(found, finding{text: text, keeps: keeps(a.Verb)})
		}
	}
	return found
}

// keeps tells whether an action leaves every row and value where it was.
func keeps(verb string) bool {
	switch verb {
	case "RENAME COLUMN", "RENAME TO", "SET NOT NULL", "ADD CONSTRAINT":
		return true
	}
	return false
}

// action returns what is found in one action on a table the running release
// knows, or "".
func (s *scope) action(table string, a sqltext.Action) string {
	name := table + "." + a.Name
	added, isNew := s.newColumn(table, a.Name)
	switch a.Verb {
	case "ADD COLUMN":
		return s.addColumn(table, a.Column)
	case "ADD CONSTRAINT":
		return s.addConstraint(table, a)
	case "DROP COLUMN":
		if isNew {
			delete(s.columns, name)
			return ""
		}
		return fmt.Sprintf("DROP COLUMN %s makes every query of the running release that names it fail, and its values are lost; "+
			"stop using it first, and drop it in a later release.", name)
	case "RENAME COLUMN":
		if isNew {
			s.columns[table+"."+a.To] = added
			return ""
		}
		return fmt.Sprintf("RENAME COLUMN %s makes every query of the running release that names it fail; "+
			"add %s beside it, write both, fill it in batches, and drop the old one in a later release.", name, a.To)
	case "RENAME TO":
		return fmt.Sprintf("RENAME of %s makes every query of the running release that names it fail; "+
			"keep the name, or leave a view under it until a later release.", table)
	case "TYPE":
		if isNew {
			return ""
		}
		return fmt.Sprintf("TYPE of %s changes what the running release reads and may write there, and may lock the table while it is written anew; "+
			"add a column of the new type beside it, fill it in batches, and drop the old one in a later release.", name)
	case "SET NOT NULL":
		if isNew && added.filled {
			s.columns[name] = column{filled: true, notNull: true}
			return ""
		}
		return fmt.Sprintf("SET NOT NULL on %s makes writes of the running release that leave it empty fail; "+
			"let a release go first that always fills it.", name)
	case "DROP DEFAULT":
		if isNew && !added.notNull {
			s.columns[name] = column{}
			return ""
		}
		return fmt.Sprintf("DROP DEFAULT on %s makes inserts of the running release that leave it out fail when it is NOT NULL; "+
			"keep the default in the database (db_default in Django, server_default in Alembic) until a later release.", name)
	case "DROP CONSTRAINT":
		if s.isNew("constraint", name) {
			return ""
		}
		return fmt.Sprintf("DROP CONSTRAINT %s lets in what the running release does not expect and, if it is unique, makes its ON CONFLICT fail; "+
			"drop it in a later release.", name)
	}
	return s.rareAction(table, a)
}

func (s *scope) rareAction(table string, a sqltext.Action) string {
	switch a.Verb {
	case "VALIDATE CONSTRAINT", "DROP NOT NULL", "ATTACH PARTITION", "SET", "RESET", "REPLICA IDENTITY", "CLUSTER ON", "SET WITHOUT",
		"COLUMN SET", "COLUMN RESET", "COLUMN SET STATISTICS", "COLUMN SET STORAGE", "COLUMN SET COMPRESSION", "COLUMN ADD GENERATED", "COLUMN DROP EXPRESSION":
		return ""
	case "SET DEFAULT":
		if c, ok := s.newColumn(table, a.Name); ok {
			c.filled = true
			s.columns[table+"."+a.Name] = c
		}
		return ""
	case "RENAME CONSTRAINT":
		return fmt.Sprintf("RENAME CONSTRAINT %s on %s breaks code of the running release that goes by the name in errors and ON CONFLICT; keep the name.", a.Name, table)
	case "DETACH PARTITION", "DETACH PARTITION CONCURRENTLY":
		return fmt.Sprintf("DETACH PARTITION takes rows away from %s, and writes of the running release for that range fail; do it in a later release.", table)
	case "ENABLE ROW LEVEL SECURITY":
		return fmt.Sprintf("ENABLE ROW LEVEL SECURITY hides every row of %s from the running release that no policy shows; make the policies first, and try it with that release.", table)
	case "OWNER TO", "SET SCHEMA":
		return fmt.Sprintf("%s makes %s inaccessible to the running release where it relies on the former one; do it in a later release.", a.Verb, table)
	}
	return fmt.Sprintf("ALTER TABLE %s %s is not understood, so nobody can tell whether the running release can live with it; say why with a declaration.", table, a.Verb)
}

var (
	called = regexp.MustCompile(`(?i)([a-z_][a-z0-9_.]*)\s*\(`)
	noNull = regexp.MustCompile(`(?i)is\s+not\s+null`)
	serial = regexp.MustCompile(`^(small|big)?serial[248]?\b`)
)

// stable tells whether a default is one value for all rows, which the database
// stores once.
func stable(text string) bool {
	known := []string{
		"now", "pg_catalog.now", "transaction_timestamp", "statement_timestamp", "current_timestamp", "localtimestamp", "current_time", "current_date",
		"varchar", "char", "character", "varying", "numeric", "decimal", "timestamp", "time", "bit", "interval",
	}
	for _, m := range called.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, strings.ToLower(m[1])) {
			return false
		}
	}
	return true
}

func (s *scope) addColumn(table string, c sqltext.Column) string {
	name := table + "." + c.Name
	filled := c.Default != "" && !strings.EqualFold(c.Default, "null")
	given := filled || c.Generated || c.Identity
	s.columns[name] = column{filled: given, notNull: c.NotNull || c.Primary}
	switch {
	case serial.MatchString(c.Type):
		return fmt.Sprintf("ADD COLUMN %s as %s makes inserts of the running release fail where its role may not use the new sequence, and writes the table anew under a lock; "+
			"add a bigint column, and give it a sequence and a default afterwards.", name, c.Type)
	case c.Primary:
		return fmt.Sprintf("ADD COLUMN %s as primary key makes inserts of the running release that do not fill it fail; add it without, and make it the key in a later release.", name)
	case c.NotNull && !given:
		return fmt.Sprintf("ADD COLUMN %s NOT NULL without a default makes every insert of the running release into %s fail; "+
			"add it with a constant default, or without NOT NULL.", name, table)
	case filled && !stable(quotes.ReplaceAllString(c.Default, "''")):
		return fmt.Sprintf("ADD COLUMN %s with the default %s, computed for every row, keeps the running release from using %s while it is written anew; "+
			"add it without, set the default, and fill it in batches.", name, c.Default, table)
	case noNull.MatchString(c.Check) && !filled:
		return fmt.Sprintf("ADD COLUMN %s with CHECK %s makes inserts of the running release that leave it out fail; give it a constant default.", name, c.Check)
	}
	return ""
}

var quotes = regexp.MustCompile(`'(?:[^']|'')*'`)

func (s *scope) addConstraint(table string, a sqltext.Action) string {
	s.made("constraint", table+"."+a.Name)
	free := s.onNewColumns(table, a.Columns)
	kept := free && !slices.ContainsFunc(a.Columns, func(n string) bool { return !s.columns[table+"."+n].filled })
	on := table
	if len(a.Columns) > 0 {
		on += " (" + strings.Join(a.Columns, ", ") + ")"
	}
	switch a.Kind {
	case "UNIQUE":
		if free || a.UsingIndex {
			return ""
		}
		return fmt.Sprintf("ADD UNIQUE on %s makes writes of the running release fail when they repeat a value; let a release go first that never does.", on)
	case "FOREIGN KEY":
		if free {
			return ""
		}
		return fmt.Sprintf("ADD FOREIGN KEY on %s makes writes of the running release fail when what they point to is not in %s; "+
			"let a release go first that never does, then add it NOT VALID and validate it.", on, plain(a.References))
	case "NOT NULL":
		if kept {
			return ""
		}
		return fmt.Sprintf("ADD NOT NULL on %s makes writes of the running release that leave it empty fail; let a release go first that always fills it.", on)
	case "CHECK":
		return fmt.Sprintf("ADD CHECK on %s makes writes of the running release that do not satisfy it fail, and with NOT VALID every update of an old row that does not; "+
			"let a release go first that satisfies it, and mend the rows.", on)
	}
	kind := a.Kind
	if kind == "" {
		kind = "CONSTRAINT"
	}
	return fmt.Sprintf("ADD %s on %s makes writes of the running release that do not satisfy it fail; let a release go first that does.", kind, on)
}

// alterOther reads ALTER of anything but a table.
func (s *scope) alterOther(st sqltext.Statement, h sqltext.Head) []finding {
	name := strings.Join(h.Names, ", ")
	verb := ""
	if len(h.Actions) > 0 {
		verb = h.Actions[0].Verb
	}
	if s.isNew(strings.ToLower(h.Object), name) {
		return nil
	}
	if slices.Contains([]string{
		"TYPE ADD VALUE", "INDEX RENAME TO", "INDEX SET", "INDEX RESET", "INDEX ATTACH PARTITION", "SEQUENCE OWNED", "TRIGGER RENAME TO", "STATISTICS RENAME TO", "STATISTICS SET",
	}, h.Object+" "+verb) || h.Object == "DEFAULT PRIVILEGES" {
		return nil
	}
	switch {
	case strings.HasPrefix(verb, "RENAME"):
		return []finding{{text: fmt.Sprintf("ALTER %s %s %s makes what the running release calls by the old name fail; make the new one beside it, and drop the old one in a later release.", h.Object, plain(name), verb)}}
	case h.Object == "SEQUENCE" && verb == "RESTART":
		return []finding{{text: fmt.Sprintf("ALTER SEQUENCE %s RESTART makes inserts of the running release repeat numbers and fail; never do it to a sequence in use.", plain(name))}}
	case verb == "":
		return []finding{unread(st)}
	}
	return []finding{{text: fmt.Sprintf("ALTER %s %s %s changes what the running release uses; say with a declaration why it can live with it.", h.Object, plain(name), verb)}}
}

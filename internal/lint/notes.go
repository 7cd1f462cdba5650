package lint

import "github.com/shiplock/shiplock/internal/sqltext"

// Notes returns what is found without a rule: text that nobody can read, and
// ignore comments that do not do what they seem to. Like rules they have a page;
// they have no check.
func Notes() []Rule {
	unread := Facts{
		Operation: "text that cannot be read: a mistake, another database's syntax, commands of psql or sqlite3",
		Locks:     "whatever the statement does",
		Breaks:    "nobody can tell",
		Safe:      "write it in another way; where it is right and nobody here can read it, ignore it for that statement, with the reason",
	}
	return []Rule{
		{ID: unreadable(sqltext.Postgres), Class: Block, Dialect: sqltext.Postgres, Facts: unread},
		{ID: NoReason, Class: Block, Dialect: sqltext.Postgres, Facts: Facts{
			Operation: "an ignore comment without a rule or without a reason, which ignores nothing; as information, one that has nothing to ignore. In files for SQLite too",
			Locks:     "none",
			Safe:      "-- shiplock:ignore PG116 and why it does no harm here",
		}},
		{ID: unreadable(sqltext.SQLite), Class: Block, Dialect: sqltext.SQLite, Facts: unread},
	}
}

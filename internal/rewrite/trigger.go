package rewrite

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
)

// A trigger acts on each row that is inserted or updated, before it is.
type trigger struct {
	table    string
	function string // within the table's schema
	name     string
	body     string // of PL/pgSQL, without BEGIN and RETURN
}

// newTrigger names a trigger. Triggers fire in the order of their names, and
// this one is to see what others made of the row.
func newTrigger(table, what, body string) trigger {
	own := name(last(table), what)
	return trigger{table: table, function: beside(table, own), name: name("zz", own), body: body}
}

func (t trigger) create() []string {
	return []string{
		fmt.Sprintf("CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n%s  RETURN NEW;\nEND $$", lint.Quote(t.function), t.body),
		fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()", lint.Quote(t.name), lint.Quote(t.table), lint.Quote(t.function)),
	}
}

func (t trigger) drop() []string {
	return []string{
		fmt.Sprintf("DROP TRIGGER %s ON %s", lint.Quote(t.name), lint.Quote(t.table)),
		fmt.Sprintf("DROP FUNCTION %s()", lint.Quote(t.function)),
	}
}

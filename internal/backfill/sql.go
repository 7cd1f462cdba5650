package backfill

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// SQL returns the statements of a batch: where its page ends, and what is done
// with the rows of the page. A page is a range of keys, so that rows that come
// and go meanwhile, and gaps, change how many rows it has and nothing else.
func (f File) SQL() database.BatchSQL {
	return database.BatchSQL{
		Last:       fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT 1", strings.Join(f.Key, ", "), f.Table, f.descending()),
		FirstBound: f.bound(false), Bound: f.bound(true),
		First: f.page(false), Next: f.page(true),
	}
}

// bound asks for the last key of the next page and how many rows it has. Its
// arguments are the key the page begins after, if any, the last key of the
// pass, and the limit.
func (f File) bound(after bool) string {
	n := len(f.Key)
	where, limit := f.compare("", "<=", 1), f.parameter(n+1)
	if after {
		where, limit = f.compare("", ">", 1)+" AND "+f.compare("", "<=", n+1), f.parameter(2*n+1)
	}
	keys := strings.Join(f.Key, ", ")
	return fmt.Sprintf("SELECT count(*) OVER (), %s FROM (SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %s) page ORDER BY %s LIMIT 1",
		keys, keys, f.Table, where, keys, limit, f.descending())
}

func (f File) descending() string { return strings.Join(f.Key, " DESC, ") + " DESC" }

// page is the statement with its marks filled in. Its arguments are the key the
// page begins after, if any, and the last one.
func (f File) page(after bool) string {
	return replace(f.statement, f.marks, func(m sqltext.Mark) string {
		if !after {
			return "(" + f.compare(m.Of, "<=", 1) + ")"
		}
		return "(" + f.compare(m.Of, ">", 1) + " AND " + f.compare(m.Of, "<=", 1+len(f.Key)) + ")"
	})
}

// compare compares the key, as a row when it has several columns, with
// parameters.
func (f File) compare(of, operator string, first int) string {
	var columns, values []string
	for i, k := range f.Key {
		if of != "" {
			k = of + "." + k
		}
		columns, values = append(columns, k), append(values, f.parameter(first+i))
	}
	if len(columns) == 1 {
		return columns[0] + " " + operator + " " + values[0]
	}
	return fmt.Sprintf("(%s) %s (%s)", strings.Join(columns, ", "), operator, strings.Join(values, ", "))
}

func (f File) parameter(n int) string {
	if f.dialect == sqltext.SQLite {
		return fmt.Sprintf("?%d", n)
	}
	return fmt.Sprintf("$%d", n)
}

// nullKeys asks whether a row has no key: no page would ever have it.
func (f File) nullKeys() string {
	var conditions []string
	for _, k := range f.Key {
		conditions = append(conditions, k+" IS NULL")
	}
	return fmt.Sprintf("SELECT 1 FROM %s WHERE %s LIMIT 1", f.Table, strings.Join(conditions, " OR "))
}

// replace fills marks in.
func replace(text string, marks []sqltext.Mark, with func(sqltext.Mark) string) string {
	var b strings.Builder
	at := 0
	for _, m := range marks {
		b.WriteString(text[at:m.Start])
		b.WriteString(with(m))
		at = m.End
	}
	b.WriteString(text[at:])
	return b.String()
}

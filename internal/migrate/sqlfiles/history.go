package sqlfiles

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A history is the table in which a tool keeps what is applied. The statements
// it returns are part of the transaction that changes the schema.
type history interface {
	// read returns what the table says; a missing table says nothing.
	read(ctx context.Context, s migrate.Session) (past, error)
	// create makes the table as the tool does.
	create() []string
	// begin marks f as half done, end as applied, remove as not applied.
	begin(p past, f *file) []string
	end(p past, f *file) []string
	remove(p past, f *file) []string
}

// A past is what is known of the migrations of a database.
type past struct {
	exists   bool     // the table does
	versions []string // applied, in the convention's spelling
	through  string   // every file up to this version is applied; "" is none
	halfDone string   // the version the tool's own mark is on; "" is none
	dirty    string   // that mark, as a sentence

	folder  *folder
	records []ship.Record
}

// past reads the history and the ledger.
func (f *folder) past(ctx context.Context, s migrate.Session) (past, history, error) {
	records, err := s.Ledger(ctx)
	if err != nil {
		return past{}, nil, fmt.Errorf("read the ledger: %w", err)
	}
	if f.convention == nil {
		return past{folder: f, records: records}, nil, nil
	}
	h := f.convention.history(f.table, s.Dialect())
	p, err := h.read(ctx, s)
	if err != nil {
		return past{}, nil, fmt.Errorf("read the history table %s of %s: %w", f.table, f.convention.name, err)
	}
	p.folder, p.records = f, records
	return p, h, nil
}

// record returns the ledger's record of a migration.
func (p past) record(id string) (ship.Record, bool) {
	i := slices.IndexFunc(p.records, func(r ship.Record) bool { return r.Migration == id })
	if i < 0 {
		return ship.Record{}, false
	}
	return p.records[i], true
}

// applied tells whether the history has f. A history that knows only its
// highest version cannot tell of a file that was added below it later; the
// ledger can, since it has every file that was there when it was written last.
func (p past) applied(f *file) bool {
	r, recorded := p.record(f.id)
	switch {
	case recorded && underway(r) < 0:
		return true
	case f.version == p.halfDone:
		return false
	}
	if p.through == "" || p.folder.convention.compare(f.version, p.through) > 0 {
		return slices.Contains(p.versions, f.version)
	}
	if recorded {
		return r.Status == ship.RecordDone
	}
	return p.folder.convention.name == "flyway" || p.folder.convention.compare(f.version, p.recorded()) > 0
}

// recorded returns the highest version the ledger has as done, or "".
func (p past) recorded() string {
	highest := ""
	for _, r := range p.records {
		if r.Tool != toolName || r.Status != ship.RecordDone {
			continue
		}
		if v := p.folder.convention.version(r.Migration); highest == "" || p.folder.convention.compare(v, highest) > 0 {
			highest = v
		}
	}
	return highest
}

// underway returns, of a record that is not done, the number of statements
// that are done: of the way up, or, when the way down was begun, -1 less the
// number of those of the way down.
func underway(r ship.Record) int {
	if r.Status == ship.RecordDone {
		return 0
	}
	return r.Statement
}

// table quotes a name for the tools that do.
func quoted(table string) string { return `"` + strings.ReplaceAll(table, ".", `"."`) + `"` }

// literal writes a string constant.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// boolean writes a truth value.
func boolean(dialect string, v bool) string {
	switch {
	case dialect == "sqlite" && v:
		return "1"
	case dialect == "sqlite":
		return "0"
	}
	return fmt.Sprint(v)
}

// rows reads a history table; exists is false when there is none.
func rows(ctx context.Context, s migrate.Session, query string) (all [][]string, exists bool, err error) {
	all, err = s.Rows(ctx, query)
	if err != nil && s.NoTable(err) {
		return nil, false, nil
	}
	return all, err == nil, err
}

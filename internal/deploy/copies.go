package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Copy is a backup there is, and what was known when it was taken.
type Copy struct {
	Path        string              `json:"path"`
	Run         string              `json:"run,omitempty"`
	Environment ship.EnvironmentID  `json:"environment"`
	Release     int                 `json:"release,omitempty"` // that was being deployed
	Info        database.BackupInfo `json:"info"`
	Mark        string              `json:"mark,omitempty"` // see [database.Database].Written
}

const (
	copySuffix  = ".backup"
	copyDetails = ".json" // appended to the copy's name
	maxDetails  = 64 << 20
)

func (c Copy) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("describe backup: %w", err)
	}
	return atomicfile.Write(c.Path+copyDetails, b, 0o600)
}

// readCopy returns what is known of a copy: of one without a description its
// file alone.
func readCopy(path string) (Copy, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Copy{}, ship.Errorf(ship.NotFound, "shiplock backup ls", "open backup: %w", err)
	}
	c := Copy{Path: path, Info: database.BackupInfo{Size: st.Size(), At: st.ModTime().UTC()}}
	details, err := os.Stat(path + copyDetails)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read description of the backup: %w", err)
	}
	if details.Size() > maxDetails {
		return c, fmt.Errorf("description of %s: %d bytes are too many", path, details.Size())
	}
	b, err := os.ReadFile(path + copyDetails)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	c.Path = path // it may have been moved
	if err != nil {
		return c, fmt.Errorf("read description of the backup: %w", err)
	}
	return c, nil
}

// Copies lists the backups of an environment, newest first.
func (e *Engine) Copies(env ship.Environment) ([]Copy, error) {
	w := &work{e: e, run: ship.Run{Request: ship.Request{Environment: env}}}
	if env.Database == nil {
		return nil, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", env.ID)
	}
	dir := w.backupDir()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	all := []Copy{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), copySuffix) || !entry.Type().IsRegular() {
			continue
		}
		c, err := readCopy(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Copy) int { return b.Info.At.Compare(a.Info.At) })
	return all, nil
}

// Ledger returns the records of an environment's database, none where there is
// no database.
func (e *Engine) Ledger(ctx context.Context, env ship.Environment) ([]ship.Record, error) {
	w, err := e.open(ship.Run{ID: "ledger", Request: ship.Request{Environment: env}})
	if err != nil {
		return nil, err
	}
	defer w.close()
	if w.db == nil {
		return nil, nil
	}
	records, err := w.db.Ledger(ctx)
	return records, w.mask.Error(err)
}

// Lost says what a restore of a copy would lose: what is known of the copy, and
// how many rows were written in which table since.
func (e *Engine) Lost(ctx context.Context, req ship.Request, path string) (Copy, []database.Wrote, error) {
	if !filepath.IsAbs(path) {
		return Copy{}, nil, ship.Errorf(ship.Invalid, "give an absolute path", "%s is not absolute", path)
	}
	c, err := readCopy(path)
	if err != nil {
		return c, nil, err
	}
	w, err := e.open(ship.Run{ID: "restore", Request: req})
	if err != nil {
		return c, nil, err
	}
	defer w.close()
	if w.db == nil {
		return c, nil, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", w.env())
	}
	if c.Mark == "" {
		return c, nil, ship.Errorf(ship.Inconclusive, "compare the tables themselves", "nothing is known of %s but the file: what was written since cannot be told", path)
	}
	_, in, err := w.db.Written(ctx, c.Mark)
	return c, in, w.mask.Error(err)
}

// writtenSince tells, of a run whose migration failed while users could write,
// what a restore of its backup would lose: as a note with each table, and as
// the end of a sentence.
func (w *work) writtenSince(ctx context.Context) (note []string, sentence string) {
	var p plan.MigrateParams
	var c Copy
	if !w.migrationFailed(&p) || p.Restore || !w.evidence(plan.Backup, &c) || c.Mark == "" {
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, in, err := w.db.Written(ctx, c.Mark)
	since := fmt.Sprintf("since the backup of %s, %s", c.Info.At.UTC().Format("2006-01-02 15:04:05 UTC"), c.Path)
	if err != nil {
		return []string{"what was written " + since + ", could not be told: " + w.mask.String(err.Error())}, ""
	}
	if len(in) == 0 {
		return []string{"nothing was written " + since}, "; nothing was written since the backup"
	}
	rows, tables := int64(0), []string{}
	for _, t := range in {
		rows += t.Rows
		tables = append(tables, fmt.Sprintf("%s %d", t.Table, t.Rows))
	}
	return []string{fmt.Sprintf("rows written %s, what the migration wrote included: %s; a restore would lose them", since, strings.Join(tables, ", "))},
		fmt.Sprintf("; %d rows were written since the backup", rows)
}

// migrationFailed tells whether the run's migrate step failed or stands where
// nobody knows its end, and reads what it was to do.
func (w *work) migrationFailed(p *plan.MigrateParams) bool {
	for seq, s := range w.run.Plan.Steps {
		e := w.entry(seq)
		if s.Kind != plan.Migrate || w.db == nil {
			continue
		}
		stopped := e != nil && (e.Error != "" || e.State == ship.StepStarted || e.State == ship.StepUndoing)
		return stopped && json.Unmarshal(s.Params, p) == nil
	}
	return false
}

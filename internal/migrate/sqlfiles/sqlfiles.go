// Package sqlfiles is the migration tool for folders of SQL files that were
// written for goose, golang-migrate, dbmate or Flyway. It carries them out
// itself and keeps the tool's own history table as the tool would, so that a
// team may go back to its tool any day. It knows the files, the history table
// and the ledger's records; it refuses to know how a database is reached and
// whether a migration is safe.
//
// A file that is atomic is one transaction together with the history row and
// the record. One that is not is cut into steps, each recorded with its own
// effect where the database allows; what the database cannot put into a
// transaction is looked for in the catalog before it is done again. Pending
// files are applied in order of version, those below the highest applied one
// too, as goose's allow-missing and Flyway's outOfOrder do.
package sqlfiles

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"path"
	"regexp"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// toolName is what the ledger's records name as their tool.
const toolName = "sqlfiles"

// The limits of a folder.
const (
	maxFiles = 10_000
	maxBytes = 256 << 20 // of all files together
)

// Config is the tool's part of shiplock.yaml.
type Config struct {
	// Dir is the folder of the files within the release, default "migrations".
	Dir string `json:"dir,omitempty"`
	// Convention is "goose", "golang-migrate", "dbmate" or "flyway"; "" finds
	// it out from the files.
	Convention string `json:"convention,omitempty"`
	// Table is the tool's history table, default the tool's own.
	Table string `json:"table,omitempty"`
}

// A Tool applies SQL files. It is safe for concurrent use.
type Tool struct {
	cfg Config
	log *slog.Logger
}

var (
	_ migrate.Tool     = (*Tool)(nil)
	_ migrate.Recorder = (*Tool)(nil)
)

// New returns a Tool for the files in a folder of the release.
func New(cfg Config, d plugin.Deps) (*Tool, error) {
	if cfg.Dir == "" {
		cfg.Dir = "migrations"
	}
	cfg.Dir = path.Clean(cfg.Dir)
	if !fs.ValidPath(cfg.Dir) {
		return nil, ship.Errorf(ship.Invalid, "write the folder relative to the release, such as db/migrations",
			"the folder %q is not within the release", cfg.Dir)
	}
	if cfg.Convention != "" {
		if _, err := conventionNamed(cfg.Convention); err != nil {
			return nil, err
		}
	}
	if cfg.Table != "" && !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`).MatchString(cfg.Table) {
		return nil, ship.Errorf(ship.Invalid, "write table or schema.table, of letters, digits and _",
			"the history table %q is not a plain name", cfg.Table)
	}
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Tool{cfg: cfg, log: log}, nil
}

// Records implements [migrate.Recorder]: the tool writes the ledger itself.
func (t *Tool) Records() bool { return true }

// Files implements [migrate.Tool]. Which database the files are for is not
// known here: a file is atomic when it is on either.
func (t *Tool) Files(tree fs.FS) ([]ship.Migration, error) {
	f, err := t.load(tree)
	if err != nil {
		return nil, err
	}
	all := make([]ship.Migration, 0, len(f.files))
	for _, file := range f.files {
		m := file.migration()
		m.Atomic = file.up.atomic(sqltext.Postgres) && file.up.atomic(sqltext.SQLite)
		all = append(all, m)
	}
	return all, nil
}

// A folder is what a release's folder of migrations holds, in order.
type folder struct {
	convention *convention // nil when there is no file to tell it from
	files      []*file
	table      string
}

func (f *folder) file(id string) *file {
	for _, file := range f.files {
		if file.id == id {
			return file
		}
	}
	return nil
}

func (f *folder) version(version string) *file {
	for _, file := range f.files {
		if file.version == version {
			return file
		}
	}
	return nil
}

// A file is one migration. A way down in a file of its own belongs to it.
type file struct {
	id       string // the name without its ending
	path     string // within the release
	checksum string
	version  string // as the history table has it, in one spelling
	up       part
	down     *part // nil when there is none
	whyNot   string

	declared ship.Phase
	reason   string

	// What Flyway records besides.
	raw         string // the version as written
	description string
	script      string
	crc         int32
}

// migration returns what the file alone tells.
func (f *file) migration() ship.Migration {
	return ship.Migration{
		ID: f.id, File: f.path, Checksum: f.checksum, Reversible: f.down != nil, WhyNot: f.whyNot,
		SQL: f.up.text, Declared: f.declared, Reason: f.reason,
	}
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

package cli

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// database asks the database for itself, as the role that migrates.
func (d *doctor) database(ctx context.Context, env ship.Environment) (out findings) {
	if env.Database == nil {
		return nil
	}
	r, url, err := databaseURL(env)
	if err != nil { // the check of the secrets has said why
		out.add("database", warn, "", "it was not asked: its URL cannot be resolved")
		return out
	}
	deps := plugin.Deps{Log: slog.New(slog.DiscardHandler), DataDir: d.data, Resolve: r.Resolve}
	db, err := builtin.Databases().Open(env.Database.Kind, database.Config{URL: url, LockTimeout: checkTimeout}, deps)
	if err == nil {
		defer db.Close()
		err = db.Ping(ctx)
	}
	if err != nil {
		out.failed("database", err)
		return out
	}
	server, err := db.ServerVersion(ctx)
	if err != nil {
		out.failed("database", err)
		return out
	}
	out.add("database", fine, "", "%s, %s", db.Name(), server)
	if env.Database.Kind == "postgres" {
		out = append(out, postgresRights(ctx, db)...)
		out = append(out, postgresClock(ctx, db)...)
		if env.Database.Backup.Kind == "dump" {
			out = append(out, dumpTool(ctx, server)...)
		}
	}
	return out
}

// databaseURL returns the URL with the role that migrates, and what resolved it.
func databaseURL(env ship.Environment) (*config.Resolver, ship.Secret, error) {
	r, err := config.NewResolver(env.SecretsFile, config.Lookup)
	if err != nil {
		return nil, ship.Secret{}, err
	}
	url := env.Database.MigrateURL
	if url == "" {
		url = env.Database.URL
	}
	secret, err := r.Resolve(url)
	return r, secret, err
}

// postgresRights asks whether the role may change the schema.
func postgresRights(ctx context.Context, db database.Database) (out findings) {
	rows, err := db.Rows(ctx, "SELECT current_user::text, current_schema()::text, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)::text")
	switch {
	case err != nil:
		out.failed("database", err)
	case len(rows) != 1 || len(rows[0]) != 3:
		out.add("database", warn, "", "what the role may do cannot be told")
	case rows[0][2] != "true":
		out.add("database", fail, "GRANT CREATE ON SCHEMA "+rows[0][1]+" TO "+rows[0][0], "%s may not create tables in schema %q: migrations would fail", rows[0][0], rows[0][1])
	default:
		out.add("database", fine, "", "%s may create tables in schema %s", rows[0][0], rows[0][1])
	}
	return out
}

// clockOffset is how far the clocks of two machines may be apart before the
// times of one mean something else on the other.
const clockOffset = 2 * time.Second

func postgresClock(ctx context.Context, db database.Database) (out findings) {
	before := time.Now()
	rows, err := db.Rows(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text")
	after := time.Now()
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		return nil // the check of the rights has said why
	}
	milli, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return nil
	}
	theirs := time.UnixMilli(milli)
	switch {
	case theirs.Before(before.Add(-clockOffset)):
		out.add("database clock", warn, "timedatectl set-ntp true", "its clock is %s behind ours", before.Sub(theirs).Round(time.Millisecond))
	case theirs.After(after.Add(clockOffset)):
		out.add("database clock", warn, "timedatectl set-ntp true", "its clock is %s ahead of ours", theirs.Sub(after).Round(time.Millisecond))
	}
	return out
}

var majorVersion = regexp.MustCompile(`PostgreSQL\)? (\d+)`)

func major(text string) int {
	m := majorVersion.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // it is digits
	return n
}

// dumpTool looks for a pg_dump that is not older than the server: an older one
// refuses.
func dumpTool(ctx context.Context, server string) (out findings) {
	want, newest := major(server), 0
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	if path, err := exec.LookPath("pg_dump"); err == nil {
		paths = append(paths, path)
	}
	for _, path := range paths {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env, cmd.WaitDelay = config.BaseEnviron(), time.Second
		text, err := cmd.Output()
		if err == nil {
			newest = max(newest, major(string(text)))
		}
	}
	install := "apt-get install postgresql-client-" + strconv.Itoa(want)
	switch {
	case newest == 0:
		out.add("database", fail, install, "there is no pg_dump: no backup, and so no migration")
	case newest < want:
		out.add("database", fail, install, "pg_dump is of version %d, the server of %d: no backup, and so no migration", newest, want)
	default:
		out.add("database", fine, "", "pg_dump %d", newest)
	}
	return out
}

// staleBackup is the age from which a backup is no longer one of today.
const staleBackup = 24 * time.Hour

// backups looks for the newest copy.
func (d *doctor) backups(_ context.Context, env ship.Environment) (out findings) {
	if env.Database == nil {
		return nil
	}
	switch b := env.Database.Backup; b.Kind {
	case "none":
		out.add("backup", warn, "", "there is none, because: %s", b.Reason)
		return out
	case "command":
		out.add("backup", fine, "", "made by a command of yours")
		return out
	}
	dir := filepath.Join(d.data, "server", "backups")
	if to := env.Database.Backup.To; to != "" {
		if dir = strings.TrimPrefix(to, "file://"); !filepath.IsAbs(dir) {
			dir = filepath.Join(d.data, "server", dir)
		}
	}
	newest, at := newestFile(filepath.Join(dir, env.ID.App, env.ID.Name), ".backup")
	next := "shiplock backup " + env.ID.Name
	switch age := time.Since(at); {
	case newest == "":
		out.add("backup", warn, next, "there is none in %s yet; a deployment that migrates makes one", dir)
	case age > staleBackup:
		out.add("backup", warn, next, "the newest, %s, is %s old", newest, ago(at))
	default:
		out.add("backup", fine, "", "%s, %s old", newest, ago(at))
	}
	return out
}

// newestFile returns the newest file in a folder with an ending, or "".
func newestFile(dir, ending string) (newest string, at time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", at // no folder, no file
	}
	for _, e := range entries {
		var info fs.FileInfo
		if info, err = e.Info(); err == nil && strings.HasSuffix(e.Name(), ending) && info.Mode().IsRegular() && info.ModTime().After(at) {
			newest, at = filepath.Join(dir, e.Name()), info.ModTime()
		}
	}
	return newest, at
}

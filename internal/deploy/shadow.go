package deploy

import (
	"context"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// shadow makes a copy to rehearse on. The origin is what it was made of, when
// that is not the database itself.
func (w *work) shadow(ctx context.Context, how gate.Rehearsing) (s database.Shadow, origin string, err error) {
	shadower, ok := w.db.(database.Shadower)
	if !ok {
		return nil, "", ship.Errorf(ship.Invalid, "take the gate from the environment", "a database of kind %s cannot be copied to rehearse on", w.run.Request.Environment.Database.Kind)
	}
	o := database.ShadowOptions{MaxSize: how.MaxSize}
	if o.App, err = w.resolver.Resolve(w.run.Request.Environment.Database.URL); err != nil {
		return nil, "", err
	}
	if how.From == "" {
		w.progress(ctx)("copying " + w.db.Name())
		s, err = shadower.Shadow(ctx, o)
		return s, "", err
	}
	c, err := w.backupToRehearse(how)
	if err != nil {
		return nil, "", err
	}
	file, err := os.Open(c.Path)
	if err != nil {
		return nil, "", ship.Errorf(ship.NotFound, "shiplock backup ls "+w.env().Name, "open backup: %w", err)
	}
	defer file.Close()
	o.From = file
	origin = "the backup of " + c.Info.At.UTC().Format("2006-01-02 15:04:05 UTC")
	if c.Run != "" {
		origin += " (" + c.Run + ")"
	}
	w.progress(ctx)("restoring " + origin + " into a copy")
	s, err = shadower.Shadow(ctx, o)
	return s, origin, err
}

// backupToRehearse finds the backup that is asked for.
func (w *work) backupToRehearse(how gate.Rehearsing) (c Copy, err error) {
	if how.From == gate.FromBackup {
		all, err := w.e.Copies(w.run.Request.Environment)
		if err != nil {
			return c, err
		}
		if len(all) == 0 {
			return c, ship.Errorf(ship.NotFound, "shiplock backup "+w.env().Name, "%s has no backup that a copy could be made of", w.env())
		}
		c = all[0]
	} else if c, err = readCopy(how.From); err != nil {
		return c, err
	}
	if how.MaxSize > 0 && c.Info.Size > how.MaxSize {
		return c, ship.Errorf(ship.Failed, "raise max_size", "the backup has %d MiB, a rehearsal copies at most %d MiB", c.Info.Size>>20, how.MaxSize>>20)
	}
	return c, nil
}

// led returns the variables that lead to the database, with a copy's URL in
// its place.
func led(r Resolver, vars map[string]ship.Secret, env ship.Environment, to ship.Secret) map[string]ship.Secret {
	out := map[string]ship.Secret{"DATABASE_URL": to}
	for name, value := range vars {
		for _, v := range []ship.Value{env.Database.URL, env.Database.Direct()} {
			if own, err := r.Resolve(v); err == nil && own.Reveal() == value.Reveal() {
				out[name] = to
			}
		}
	}
	return out
}

// elsewhere returns a variable that holds the password of the database, or the
// path of its file, and is not replaced as a whole when a command is to work on
// a copy.
func elsewhere(r Resolver, vars map[string]ship.Secret, env ship.Environment) string {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		text := vars[name].Reveal()
		for _, v := range []ship.Value{env.Database.URL, env.Database.Direct()} {
			secret, err := r.Resolve(v)
			if err != nil || secret.Reveal() == text || name == "DATABASE_URL" {
				break
			}
			u, err := url.Parse(secret.Reveal())
			if err != nil {
				continue
			}
			if password, ok := u.User.Password(); ok && len(password) >= minPassword && strings.Contains(text, password) {
				return name
			}
			if path := strings.TrimPrefix(u.Path, "/"); strings.HasPrefix(u.Scheme, "sqlite") && len(path) >= minPassword && strings.Contains(text, path) {
				return name
			}
		}
	}
	return ""
}

// minPassword is the length below which finding it in a text means nothing.
const minPassword = 4

// shadowProject is the release with a copy for its database.
func (w *work) shadowProject(tree fs.FS, s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project {
	env := w.run.Request.Environment
	return migrate.Project{
		Dir: w.folder(), Tree: tree, Fence: f, Release: w.run.Request.Release.Artifact.Digest,
		Runner:  &shadowRunner{w: w, shadow: s, fence: f},
		Session: session{db: s, lock: lock, dialect: env.Database.Kind},
		Timeout: env.Migrate.Timeout, Lock: env.Migrate.LockTimeout,
	}
}

// A shadowRunner runs a tool's commands against a copy. They have no names: a
// rehearsal that was cut off begins anew, on another copy.
type shadowRunner struct {
	w      *work
	shadow database.Shadow
	fence  ship.Fence
}

func (r *shadowRunner) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	env := r.w.run.Request.Environment
	vars := map[string]string{}
	for name, url := range led(r.w.resolver, r.w.spec.Vars, env, r.shadow.URL()) {
		vars[name] = url.Reveal()
	}
	maps.Copy(vars, r.shadow.ToolVars(r.fence, env.Migrate.LockTimeout))
	maps.Copy(vars, c.Vars)
	c.Vars, c.Name = vars, ""
	return r.w.command(ctx, c)
}

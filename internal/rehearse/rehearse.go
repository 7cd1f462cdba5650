// Package rehearse carries migrations out on a copy of a database before
// anybody does so on the real one. It knows what to measure, which statements
// the running release might send, and how the worth of a way down is proven.
// It does not know how a copy is made, which tool migrates, or what of it all
// is a reason to stop: that is a gate's to say.
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is what a rehearsal needs.
type Config struct {
	Shadow database.Shadow
	Tool   migrate.Tool
	// Project is the release with a copy for its database.
	Project func(s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project
	Pending []ship.Migration // in order of application
	// Downgrade has the ways down proven too, each on a clone.
	Downgrade bool
	// Rows are how many rows tables have in production, where the copy is of a
	// smaller database.
	Rows     map[string]int64
	Run      string // whose rehearsal it is
	Progress func(string)

	// Original, unless nil, is the schema of the database that an older copy
	// stands for: what Applied has and the copy lacks is carried out first.
	Original *database.Catalog
	Applied  []ship.Migration // to the original, in order of application
	// Smoke, unless nil, starts the release that serves against a copy and
	// returns which of its checks fail.
	Smoke func(ctx context.Context, s database.Shadow) ([]ship.Breakage, error)
}

// A rehearsal is one under way.
type rehearsal struct {
	Config
	fence  ship.Fence
	tables []database.Table
	probes []*probe
	smoke  *ship.Smoked // nil when it is not asked for
}

// Run rehearses. That a migration fails on the copy is part of what it
// returns; an error means that nothing was learned.
func Run(ctx context.Context, c Config) (ship.Rehearsal, error) {
	if c.Shadow == nil || c.Tool == nil || c.Project == nil {
		return ship.Rehearsal{}, errors.New("rehearse: copy, tool and project are required")
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	r := &rehearsal{Config: c}
	out := ship.Rehearsal{At: time.Now().UTC(), Migrations: []ship.Rehearsed{}}
	var err error
	if out.Server, err = c.Shadow.ServerVersion(ctx); err != nil {
		return out, err
	}
	if out.Size, err = c.Shadow.Size(ctx); err != nil {
		return out, err
	}
	epoch, err := c.Shadow.Epoch(ctx)
	if err != nil {
		return out, fmt.Errorf("read the fence of the copy: %w", err)
	}
	r.fence = ship.Fence{Run: c.Run, Epoch: epoch + 1}
	if err := r.catchUp(ctx, &out); err != nil {
		return out, err
	}
	if err := r.begin(ctx, &out); err != nil {
		return out, err
	}
	if err := r.smokeBefore(ctx, &out); err != nil {
		return out, err
	}
	for i, m := range c.Pending {
		c.Progress(fmt.Sprintf("rehearsing %s (%d of %d)", m.ID, i+1, len(c.Pending)))
		done, err := r.migration(ctx, m)
		if err != nil {
			return out, fmt.Errorf("rehearse %s: %w", m.ID, err)
		}
		out.Migrations = append(out.Migrations, done)
		if done.Failed != "" {
			break
		}
	}
	return out, nil
}

// begin learns what the running release can do now.
func (r *rehearsal) begin(ctx context.Context, out *ship.Rehearsal) error {
	var err error
	if r.tables, err = r.Shadow.Tables(ctx); err != nil {
		return fmt.Errorf("describe the copy: %w", err)
	}
	all, ignored := probesOf(r.tables, r.Shadow.Seen())
	session, err := r.Shadow.App(ctx)
	if err != nil {
		return fmt.Errorf("open a session of the application on the copy: %w", err)
	}
	defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
	for _, p := range all {
		works, err := p.works(ctx, session)
		if err != nil {
			return err
		}
		if works {
			r.probes = append(r.probes, p)
		}
	}
	out.Role, out.Probes, out.Unfit, out.Ignored = session.Role(), len(r.probes), len(all)-len(r.probes), ignored
	return nil
}

// migration takes one up between the same statements before and after.
func (r *rehearsal) migration(ctx context.Context, m ship.Migration) (ship.Rehearsed, error) {
	out := ship.Rehearsed{Migration: m.ID, Effects: []ship.Effect{}}
	if r.Downgrade {
		var err error
		if out.Downgrade, err = r.prove(ctx, m); err != nil {
			return out, fmt.Errorf("take it down: %w", err)
		}
	}
	// Open over the migration, as the application's are.
	session, err := r.Shadow.App(ctx)
	if err != nil {
		return out, err
	}
	defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
	for _, p := range r.probes {
		if err := p.prepareKept(ctx, session); err != nil {
			return out, err
		}
	}
	watch, err := r.Shadow.Watch(ctx)
	if err != nil {
		return out, fmt.Errorf("watch the copy: %w", err)
	}
	begun := time.Now()
	failed := r.up(ctx, r.Shadow, m)
	out.TookMS = millis(time.Since(begun))
	effects, err := watch.Stop(context.WithoutCancel(ctx))
	if err != nil {
		return out, fmt.Errorf("measure: %w", err)
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	out.Effects = r.finish(m, effects)
	if failed != nil {
		out.Failed = failed.Error()
		return out, nil
	}
	if out.Broken, err = r.broken(ctx, session); err != nil {
		return out, err
	}
	smoke, err := r.smokeAfter(ctx, m)
	out.Broken = append(smoke, out.Broken...)
	return out, err
}

// broken tries again what worked, and goes on with what still does.
func (r *rehearsal) broken(ctx context.Context, session database.Session) ([]ship.Breakage, error) {
	var out []ship.Breakage
	var left []*probe
	for _, p := range r.probes {
		refusal, err := p.again(ctx, session)
		if err != nil {
			return nil, err
		}
		if refusal == nil {
			left = append(left, p)
			continue
		}
		out = append(out, ship.Breakage{Probe: p.kind, Table: p.table, Statement: shorten(p.shown()), Code: refusal.Code, Message: refusal.Message})
	}
	r.probes = left
	return out, nil
}

// up has the tool apply m on a copy, under its lock.
func (r *rehearsal) up(ctx context.Context, s database.Shadow, m ship.Migration) error {
	return r.locked(ctx, s, func(p migrate.Project) error { return r.Tool.Up(ctx, p, m) })
}

func (r *rehearsal) down(ctx context.Context, s database.Shadow, m ship.Migration) error {
	return r.locked(ctx, s, func(p migrate.Project) error { return r.Tool.Down(ctx, p, m) })
}

func (r *rehearsal) locked(ctx context.Context, s database.Shadow, do func(migrate.Project) error) error {
	lock, err := s.Lock(ctx, r.fence, "rehearsal")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }()
	return do(r.Project(s, lock, r.fence))
}

// How much of a statement is told.
const mostStatement = 240

func shorten(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > mostStatement {
		return string(runes[:mostStatement-1]) + "…"
	}
	return text
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

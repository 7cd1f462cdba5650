// Package rehearsal is a gate that has the pending migrations carried out on a
// copy of the target database and judges what they did there. It knows the
// limits; how a rehearsal is made is told by whoever asks it.
package rehearsal

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	// Downgrade is what ways down must be worth: "off" does not try them,
	// "report" (the default) only tells, "reordered" and "exact" demand so much.
	Downgrade string `json:"downgrade,omitempty"`
	// MaxLock is the longest time a lock may be held that keeps writers
	// waiting, for the rows of production where they are named. Default 2s.
	MaxLock string `json:"max_lock,omitempty"`
	// MaxTime is the longest a migration may take. No limit by default.
	MaxTime string `json:"max_time,omitempty"`
	// MaxSize in MiB is the largest database that is copied. Default 10240.
	MaxSize int64 `json:"max_size,omitempty"`
	// AllowBroken are the kinds of statements that may break: "prepared select *".
	AllowBroken []string `json:"allow_broken,omitempty"`
	// Rows are how many rows tables have in production.
	Rows map[string]int64 `json:"rows,omitempty"`
	// From is "database" (the default), "backup" for the newest one, or the path
	// of a backup, to make the copy of.
	From string `json:"from,omitempty"`
	// Smoke has the release that serves started against the copy, before and
	// after each migration, and asked for its health and smoke paths.
	Smoke bool `json:"smoke,omitempty"`
}

const (
	defaultLock = 2 * time.Second
	defaultSize = 10 << 10 // MiB
)

// A Gate judges by a rehearsal.
type Gate struct {
	cfg           Config
	lock, longest time.Duration
}

var _ gate.Gate = (*Gate)(nil)

// New returns a rehearsal gate.
func New(cfg Config, _ plugin.Deps) (*Gate, error) {
	g := &Gate{cfg: cfg}
	if cfg.Downgrade == "" {
		g.cfg.Downgrade = "report"
	}
	if !slices.Contains([]string{"off", "report", "reordered", "exact"}, g.cfg.Downgrade) {
		return nil, ship.Errorf(ship.Invalid, "downgrade: off, report, reordered or exact", "a rehearsal cannot demand a downgrade that is %q", cfg.Downgrade)
	}
	if g.cfg.From == "database" {
		g.cfg.From = ""
	}
	if g.cfg.From != "" && g.cfg.From != gate.FromBackup && !filepath.IsAbs(g.cfg.From) {
		return nil, ship.Errorf(ship.Invalid, "from: database, backup, or the absolute path of a backup", "a copy cannot be made of %q", cfg.From)
	}
	if g.cfg.MaxSize <= 0 {
		g.cfg.MaxSize = defaultSize
	}
	var err error
	if g.lock, err = limit(cfg.MaxLock, defaultLock); err != nil {
		return nil, err
	}
	if g.longest, err = limit(cfg.MaxTime, 0); err != nil {
		return nil, err
	}
	return g, nil
}

func limit(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, ship.Errorf(ship.Invalid, "write for example 2s", "%q is no time that limits a rehearsal", text)
	}
	return d, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	if c.Rehearse == nil {
		return ship.Verdict{}, ship.Errorf(ship.Invalid, "take the gate from the environment, or set database and migrations",
			"%s has no migrations that could be rehearsed", c.Name)
	}
	if err := ctx.Err(); err != nil {
		return ship.Verdict{}, err
	}
	r, err := c.Rehearse(ctx, gate.Rehearsing{
		Downgrade: g.cfg.Downgrade != "off", MaxSize: g.cfg.MaxSize << 20, Rows: g.cfg.Rows, From: g.cfg.From, Smoke: g.cfg.Smoke,
	})
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("rehearse: %w", err)
	}
	v := g.Of(r)
	v.Rehearsal = &r
	return v, nil
}

// Of judges a rehearsal. The first thing that is wrong is the reason.
func (g *Gate) Of(r ship.Rehearsal) ship.Verdict {
	if len(r.Migrations) == 0 {
		return ship.Verdict{Outcome: ship.Pass, Reason: "no migration is pending"}
	}
	for _, against := range []func(ship.Rehearsed) string{failed, g.broken, g.slow, g.oneWay} {
		for _, m := range r.Migrations {
			if why := against(m); why != "" {
				return ship.Verdict{Outcome: ship.Fail, Reason: oneLine(m.Migration + " " + why)}
			}
		}
	}
	if r.Smoke != nil && r.Smoke.Outcome == ship.NoConclusion {
		return ship.Verdict{Outcome: ship.NoConclusion, Reason: oneLine(r.Smoke.Reason)}
	}
	if r.Probes == 0 && r.Unfit > 0 {
		return ship.Verdict{Outcome: ship.NoConclusion, Reason: fmt.Sprintf(
			"none of %d statements of the running release worked on the copy before the migrations: what they break is not known", r.Unfit)}
	}
	smoke := ""
	if r.Smoke != nil && r.Smoke.Outcome == ship.Pass {
		smoke = "; it passed its smoke check on the copy, too"
	}
	return ship.Verdict{Outcome: ship.Pass, Reason: fmt.Sprintf("%s went up on a copy of %d MiB, and all %d statements of the running release work afterwards%s%s",
		migrations(len(r.Migrations)), r.Size>>20, r.Probes, smoke, downs(r))}
}

func migrations(n int) string {
	if n == 1 {
		return "1 migration"
	}
	return fmt.Sprintf("%d migrations", n)
}

func failed(m ship.Rehearsed) string {
	if m.Failed == "" {
		return ""
	}
	return "fails on a copy: " + m.Failed
}

func (g *Gate) broken(m ship.Rehearsed) string {
	left := slices.DeleteFunc(slices.Clone(m.Broken), func(b ship.Breakage) bool { return slices.Contains(g.cfg.AllowBroken, b.Probe) })
	if len(left) == 0 {
		return ""
	}
	first := left[0]
	return fmt.Sprintf("breaks %d statements of the running release, for example (%s) %s: %s %s", len(left), first.Probe, first.Statement, first.Code, first.Message)
}

// slow tells of locks that keep writers waiting, or readers too, for too long.
func (g *Gate) slow(m ship.Rehearsed) string {
	if took := ms(m.TookMS); g.longest > 0 && took > g.longest {
		return fmt.Sprintf("took %s on a copy, at most %s are allowed", took, g.longest)
	}
	for _, e := range m.Effects {
		held := ms(max(e.HeldMS, e.ProjectedMS))
		for _, l := range e.Locks {
			if held > g.lock && blocks(l.Mode) {
				return fmt.Sprintf("holds %s on %s for %s, at most %s are allowed: %s", l.Mode, l.Table, held.Round(time.Millisecond), g.lock, e.Statement)
			}
		}
	}
	return ""
}

// blocks tells whether a lock keeps those waiting who write.
func blocks(mode string) bool {
	return slices.Contains([]string{"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE", "WRITE"}, mode)
}

func (g *Gate) oneWay(m ship.Rehearsed) string {
	ok := []ship.DowngradeOutcome{ship.DowngradeExact}
	switch g.cfg.Downgrade {
	case "off", "report":
		return ""
	case "reordered":
		ok = append(ok, ship.DowngradeReordered)
	}
	if slices.Contains(ok, m.Downgrade.Outcome) {
		return ""
	}
	return fmt.Sprintf("has a way down that is %s: %s", m.Downgrade.Outcome, strings.Join(m.Downgrade.What, "; "))
}

// downs counts what the ways down are worth.
func downs(r ship.Rehearsal) string {
	var said []string
	for _, o := range []ship.DowngradeOutcome{ship.DowngradeExact, ship.DowngradeReordered, ship.DowngradeLossy, ship.DowngradeFails} {
		n := 0
		for _, m := range r.Migrations {
			if m.Downgrade.Outcome == o {
				n++
			}
		}
		if n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, o))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "; ways down: " + strings.Join(said, ", ")
}

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// mostReason bounds a reason, which is read as a sentence.
const mostReason = 800

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > mostReason {
		return string(runes[:mostReason-1]) + "…"
	}
	return s
}

package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// Up implements [migrate.Tool]. It does nothing when m is listed as applied.
func (t *Tool) Up(ctx context.Context, p migrate.Project, m ship.Migration) error {
	return t.change(ctx, p, m, true)
}

// Down implements [migrate.Tool]. It does nothing when m is not listed as
// applied.
func (t *Tool) Down(ctx context.Context, p migrate.Project, m ship.Migration) error {
	if len(t.cfg.Down) == 0 {
		return ship.Errorf(ship.Invalid, "set migrations.down", "%s cannot be taken back: there is no command for it", m.ID)
	}
	return t.change(ctx, p, m, false)
}

func (t *Tool) change(ctx context.Context, p migrate.Project, m ship.Migration, up bool) error {
	words, direction := t.cfg.Up, "up"
	if !up {
		words, direction = t.cfg.Down, "down"
	}
	before, err := t.ask(ctx, p)
	if err != nil {
		return err
	}
	if before.Dirty != "" {
		return ship.Errorf(ship.MigrationFailed, "", "%s", before.Dirty)
	}
	if e, _ := before.find(m.ID); e.Applied == up {
		return nil
	}
	r, err := p.Runner.Run(ctx, migrate.Command{
		Name: name(direction, m.ID), Argv: words, Timeout: p.Timeout,
		Vars: map[string]string{"MIGRATION": m.ID, "MIGRATION_FILE": m.File},
	})
	if err != nil {
		return fmt.Errorf("migrate %s %s: %w", direction, m.ID, err)
	}
	if r.Unknown || r.Code != 0 {
		return ship.Errorf(ship.MigrationFailed, "look at the schema, then mend the migration",
			"migrate %s %s: %s", direction, m.ID, ended(words, r))
	}
	after, err := t.ask(ctx, p)
	if err != nil {
		return err
	}
	return compare(before, after, m.ID, up)
}

// compare refuses a listing that changed by anything but the one migration.
func compare(before, after Listing, id string, up bool) error {
	want := slices.DeleteFunc(before.applied(), func(other string) bool { return other == id })
	if up {
		want = append(want, id)
		slices.Sort(want)
	}
	got := after.applied()
	if slices.Equal(got, want) {
		return nil
	}
	return ship.Errorf(ship.MigrationFailed, "let the command deal with $MIGRATION alone",
		"the command for %s ended well, but applied is now %s instead of %s", id, shown(got), shown(want))
}

func shown(ids []string) string {
	const most = 5
	switch n := len(ids); {
	case n == 0:
		return "nothing"
	case n > most:
		return fmt.Sprintf("%d migrations up to %s", n, ids[n-1])
	}
	return strings.Join(ids, ", ")
}

// name returns the name under which the command is run once. What a name may
// not hold is replaced, and told apart by a digest.
func name(direction, id string) string {
	const most = 100
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, id)
	if clean != id || len(id) > most {
		sum := sha256.Sum256([]byte(id))
		clean = clean[:min(len(clean), most)] + "-" + hex.EncodeToString(sum[:4])
	}
	return "migrate-" + direction + "-" + clean
}

// ended says how a command did, with the end of what it wrote.
func ended(words ship.Argv, r migrate.Result) string {
	how := fmt.Sprintf("%s ended with exit code %d", words[0], r.Code)
	if r.Unknown {
		how = words[0] + " is gone, and nobody saw how it ended"
	}
	text := r.Stderr
	if len(strings.TrimSpace(string(text))) == 0 {
		text = r.Stdout
	}
	if last := lastLines(string(text)); last != "" {
		how += ": " + last
	}
	return how
}

// lastLines returns the last lines that are not blank, as one.
func lastLines(text string) string {
	const most, width = 3, 200
	var last []string
	for line := range strings.Lines(mask.Terminal(text)) {
		if line = strings.TrimSpace(line); line != "" {
			if runes := []rune(line); len(runes) > width {
				line = string(runes[:width]) + "…"
			}
			last = append(last, line)
		}
	}
	return strings.Join(last[max(0, len(last)-most):], " | ")
}

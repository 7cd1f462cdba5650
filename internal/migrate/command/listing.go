package command

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Listing is what the list command may print as JSON instead of lines: this
// object, or the array of its migrations alone.
type Listing struct {
	Migrations []Entry  `json:"migrations"`
	Dirty      string   `json:"dirty,omitempty"`    // the tool's own mark of a half-done migration, as a sentence
	Problems   []string `json:"problems,omitempty"` // what keeps the tool from going on
}

// An Entry is a migration of a [Listing].
type Entry struct {
	ID         string   `json:"id"`
	Applied    bool     `json:"applied"`
	Atomic     bool     `json:"atomic,omitempty"` // all of it or nothing
	Reversible *bool    `json:"reversible,omitempty"`
	WhyNot     string   `json:"why_not,omitempty"`
	SQL        string   `json:"sql,omitempty"`
	Needs      []string `json:"needs,omitempty"`
}

// fill adds to a file's migration what the tool says of it.
func (e Entry) fill(m ship.Migration) ship.Migration {
	m.Applied, m.Atomic, m.Needs = e.Applied, e.Atomic, e.Needs
	if e.SQL != "" {
		m.SQL, m.Operations = e.SQL, nil
	}
	if m.Reversible && e.Reversible != nil && !*e.Reversible {
		m.Reversible, m.WhyNot = false, e.WhyNot
		if m.WhyNot == "" {
			m.WhyNot = "the tool says so"
		}
	}
	return m
}

func (l Listing) find(id string) (Entry, bool) {
	i := slices.IndexFunc(l.Migrations, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return Entry{}, false
	}
	return l.Migrations[i], true
}

// applied returns what is, sorted.
func (l Listing) applied() []string {
	var ids []string
	for _, e := range l.Migrations {
		if e.Applied {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// ask runs the list command.
func (t *Tool) ask(ctx context.Context, p migrate.Project) (Listing, error) {
	r, err := p.Runner.Run(ctx, migrate.Command{Argv: t.cfg.List, Timeout: listLimit})
	if err != nil {
		return Listing{}, ship.Errorf(ship.Failed, "", "list the migrations: %w", err)
	}
	if r.Unknown || r.Code != 0 {
		return Listing{}, ship.Errorf(ship.Failed, "run the command by hand in the release's folder",
			"list the migrations: %s", ended(t.cfg.List, r))
	}
	return parse(string(r.Stdout))
}

var line = regexp.MustCompile(`^\s*\[([ xX])\]\s+(\S+)`)

// parse reads JSON or lines. Lines of another form, such as headings, are
// passed over.
func parse(out string) (Listing, error) {
	var l Listing
	if json.Unmarshal([]byte(out), &l.Migrations) == nil || json.Unmarshal([]byte(out), &l) == nil {
		return l, check(l)
	}
	l = Listing{}
	for text := range strings.Lines(out) {
		if m := line.FindStringSubmatch(text); m != nil {
			l.Migrations = append(l.Migrations, Entry{ID: m[2], Applied: m[1] != " "})
		}
	}
	if len(l.Migrations) == 0 && strings.TrimSpace(out) != "" {
		return Listing{}, ship.Errorf(ship.Failed, "print a line [X] or [ ] and the name for each migration, or JSON",
			"the listing has no line of the form [X] name: %.200q", mask.Terminal(out))
	}
	return l, check(l)
}

func check(l Listing) error {
	seen := map[string]bool{}
	for _, e := range l.Migrations {
		if e.ID == "" || seen[e.ID] {
			return ship.Errorf(ship.Failed, "", "the listing names %q twice or a migration without a name", e.ID)
		}
		seen[e.ID] = true
	}
	return nil
}

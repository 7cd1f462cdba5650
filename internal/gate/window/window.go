// Package window is a gate that passes within set hours of set days of the
// week, in one time zone. It knows no other calendar: no holidays, and no
// freeze that somebody announces.
package window

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Days  Days   `json:"days,omitempty" jsonschema_description:"Days of the week, such as [mon-thu, sat]. Default every day."`
	Hours Hours  `json:"hours,omitempty" jsonschema_description:"From when until when, such as 09:00-16:30. An end before the beginning is that of the next day. Default the whole day."`
	Zone  string `json:"zone,omitempty" jsonschema_description:"Time zone, such as Europe/Berlin. Default UTC."`
}

// A Gate passes while its window is open.
type Gate struct {
	cfg  Config
	zone *time.Location
}

var _ gate.Gate = (*Gate)(nil)

// New returns a window gate.
func New(cfg Config, _ plugin.Deps) (*Gate, error) {
	if strings.EqualFold(cfg.Zone, "local") { // means something else on every machine
		return nil, plugin.At("zone", ship.Errorf(ship.Invalid, "write for example Europe/Berlin", "%q is no time zone", cfg.Zone))
	}
	zone, err := time.LoadLocation(cfg.Zone)
	if err != nil {
		return nil, plugin.At("zone", ship.Errorf(ship.Invalid, "write for example Europe/Berlin", "%q is no time zone", gate.Shorten(cfg.Zone, 40)))
	}
	if cfg.Days == (Days{}) {
		cfg.Days = Days{true, true, true, true, true, true, true}
	}
	if cfg.Hours == (Hours{}) {
		cfg.Hours.To = wholeDay
	}
	return &Gate{cfg, zone}, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return ship.Verdict{}, err
	}
	now := time.Now().In(g.zone)
	if until, open := g.open(now); open {
		return ship.Verdict{Outcome: ship.Pass, Reason: fmt.Sprintf("it is %s, and the window is open until %s", clock(now), clock(until))}, nil
	}
	next := g.next(now)
	return ship.Verdict{Outcome: ship.Fail, Reason: fmt.Sprintf(
		"it is %s, and the window opens next on %s, in %s", clock(now), clock(next), next.Sub(now).Round(time.Minute))}, nil
}

func clock(t time.Time) string { return t.Format("Mon 2 Jan 15:04 MST") }

// open tells whether the window is open at a moment, and until when. One that
// began yesterday may still be.
func (g *Gate) open(now time.Time) (until time.Time, open bool) {
	for _, day := range []int{-1, 0} {
		from, to := g.on(now, day)
		if g.cfg.Days[from.Weekday()] && !now.Before(from) && now.Before(to) {
			return g.until(to), true
		}
	}
	return time.Time{}, false
}

// until goes on from the end of a window to that of the next while one begins
// where the other ends; a week of those never ends.
func (g *Gate) until(to time.Time) time.Time {
	for range 7 {
		next := to
		for _, day := range []int{-1, 0} {
			from, end := g.on(to, day)
			if g.cfg.Days[from.Weekday()] && !to.Before(from) && to.Before(end) {
				next = end
			}
		}
		if next.Equal(to) {
			return to
		}
		to = next
	}
	return to
}

// next returns when the window opens after a moment when it is closed.
func (g *Gate) next(now time.Time) time.Time {
	for day := range 8 {
		if from, _ := g.on(now, day); from.After(now) && g.cfg.Days[from.Weekday()] {
			return from
		}
	}
	return now // not reached: some day of eight is one of ours
}

// on returns the window that begins so many days after the day of now. The
// clock on the wall counts: an hour that a change of the clock leaves out is
// left out of the window.
func (g *Gate) on(now time.Time, days int) (from, to time.Time) {
	y, m, d := now.Date()
	at := func(minutes int) time.Time { return time.Date(y, m, d+days, 0, minutes, 0, 0, g.zone) }
	end := g.cfg.Hours.To
	if end <= g.cfg.Hours.From {
		end += wholeDay
	}
	return at(g.cfg.Hours.From), at(end)
}

// Days are days of the week, from Sunday.
type Days [7]bool

var short = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Days) UnmarshalJSON(raw []byte) error {
	var list []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if err := plugin.Decode(raw, &list); err != nil {
		return err
	}
	for _, item := range list {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		i, j := slices.Index(short[:], first), slices.Index(short[:], last)
		if i < 0 || j < 0 {
			return ship.Errorf(ship.Invalid, "write for example mon or mon-thu", "%q is no day of the week", gate.Shorten(item, 40))
		}
		for d[i] = true; i != j; d[i] = true {
			i = (i + 1) % len(d)
		}
	}
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Days) SettingSchema() string {
	const day = `{"type": "string", "pattern": "^(sun|mon|tue|wed|thu|fri|sat)(-(sun|mon|tue|wed|thu|fri|sat))?$"}`
	return `{"anyOf": [` + day + `, {"type": "array", "items": ` + day + `}]}`
}

// Hours are a part of a day, in minutes from midnight.
type Hours struct{ From, To int }

const wholeDay = 24 * 60

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Hours) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		text = string(raw)
	}
	from, to, _ := strings.Cut(text, "-")
	var ok, also bool
	h.From, ok = minutes(from)
	h.To, also = minutes(to)
	if !ok || !also || h.From == h.To || h.From == wholeDay {
		return ship.Errorf(ship.Invalid, "write for example 09:00-16:30", "%q is no part of a day", gate.Shorten(text, 40))
	}
	return nil
}

func minutes(text string) (int, bool) {
	if text == "24:00" {
		return wholeDay, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

// SettingSchema is the JSON Schema of the setting.
func (Hours) SettingSchema() string {
	return `{"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"}`
}

package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on a machine that has none

	"github.com/shiplock/shiplock/internal/ship"
)

// The forms of a moment in a freeze.
const (
	localForm  = "2006-01-02 15:04"
	offsetForm = time.RFC3339
	clockForm  = "15:04"
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

const week = 7

// A moment is one end of a freeze: a point in time, or one of every week.
type moment struct {
	at     time.Time // where weekly is false
	weekly bool
	day    time.Weekday
	clock  time.Duration // since midnight, by the clock on the wall
	offset bool          // at has one of its own
}

// A Window is a freeze that was understood.
type Window struct {
	from, to moment
	zone     *time.Location
	reason   string
}

// ParseWindow understands a freeze.
func ParseWindow(f ship.Freeze) (Window, error) {
	w := Window{zone: time.UTC, reason: f.Reason}
	var err error
	if f.Zone != "" {
		if w.zone, err = zone(f.Zone); err != nil {
			return w, err
		}
	}
	if w.from, err = parseMoment(f.From, w.zone); err != nil {
		return w, err
	}
	if w.to, err = parseMoment(f.To, w.zone); err != nil {
		return w, err
	}
	switch {
	case w.from.weekly != w.to.weekly:
		return w, errors.New("one end is a day of every week, the other a date")
	case w.from.offset != w.to.offset:
		return w, errors.New("one end has an offset of its own, the other has none")
	case w.from.offset && f.Zone != "":
		return w, errors.New("the times have offsets of their own and the zone is given, too")
	case !w.from.offset && f.Zone == "":
		return w, errors.New("the zone is missing, such as zone: Europe/Berlin")
	case !w.from.weekly && !w.to.at.After(w.from.at):
		return w, fmt.Errorf("it ends at %s, before it begins", f.To)
	case w.from.weekly && w.from == w.to:
		return w, errors.New("it begins and ends at the same time of the week; to keep deployments away for good use shiplock lock")
	}
	return w, nil
}

// CheckZone tells what is wrong with a text as the zone of a freeze.
func CheckZone(text string) error {
	_, err := zone(text)
	return err
}

func zone(text string) (*time.Location, error) {
	at, err := time.LoadLocation(text)
	if err != nil || text == "" || text == "Local" {
		return nil, fmt.Errorf("%q is no time zone such as Europe/Berlin or UTC", text)
	}
	return at, nil
}

// CheckMoment tells what is wrong with a text as one end of a freeze.
func CheckMoment(text string) error {
	_, err := parseMoment(text, time.UTC)
	return err
}

// parseMoment understands one end of a freeze, by the clocks of a zone.
func parseMoment(text string, in *time.Location) (moment, error) {
	if at, err := time.Parse(offsetForm, text); err == nil {
		return moment{at: at, offset: true}, nil
	}
	if at, err := time.ParseInLocation(localForm, text, in); err == nil {
		return moment{at: at}, nil
	}
	day, clock, _ := strings.Cut(text, " ")
	for i, name := range weekdays {
		if !strings.EqualFold(day, name) {
			continue
		}
		if at, err := time.Parse(clockForm, clock); err == nil {
			return moment{weekly: true, day: time.Weekday(i), clock: time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute}, nil
		}
	}
	return moment{}, fmt.Errorf("%q is no time such as 2026-12-20 18:00, 2026-12-20T18:00:00+01:00 or fri 16:00", text)
}

// Holds tells whether the freeze holds at a time, and until when.
func (w Window) Holds(now time.Time) (until time.Time, frozen bool) {
	from, to := w.from.at, w.to.at
	if w.from.weekly {
		from, to = w.around(now)
	}
	return to, !now.Before(from) && now.Before(to)
}

// around returns the weekly freeze that began last.
func (w Window) around(now time.Time) (from, to time.Time) {
	local := now.In(w.zone)
	back := (int(local.Weekday()) - int(w.from.day) + week) % week
	if from = w.on(local, -back, w.from); from.After(now) {
		back += week
		from = w.on(local, -back, w.from)
	}
	long := (int(w.to.day) - int(w.from.day) + week) % week
	if long == 0 && w.to.clock <= w.from.clock {
		long = week
	}
	return from, w.on(local, long-back, w.to)
}

// on returns a time of the day so many days from another. Where the clocks are
// set forward over it, it is the time they are set to.
func (w Window) on(day time.Time, days int, m moment) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day()+days, int(m.clock/time.Hour), int(m.clock%time.Hour/time.Minute), 0, 0, w.zone)
}

// A Frozen is a freeze that holds.
type Frozen struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// FrozenAt returns the freeze that holds at a time, of several the one that
// ends last; nil when none does. One that nobody understands holds.
func FrozenAt(list []ship.Freeze, now time.Time) *Frozen {
	var held *Frozen
	for _, f := range list {
		w, err := ParseWindow(f)
		if err != nil {
			return &Frozen{Reason: fmt.Sprintf("a freeze is not understood: %v", err)}
		}
		if until, frozen := w.Holds(now); frozen && (held == nil || until.After(held.Until)) {
			held = &Frozen{Until: until.In(w.zone), Reason: f.Reason}
		}
	}
	return held
}

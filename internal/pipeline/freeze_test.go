package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/ship"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestAFreezeHoldsFromItsBeginningToItsEnd(t *testing.T) {
	weekend := ship.Freeze{From: "fri 16:00", To: "mon 08:00", Zone: "Europe/Berlin", Reason: "weekend"}
	holidays := ship.Freeze{From: "2026-12-20 18:00", To: "2027-01-04 08:00", Zone: "Europe/Berlin", Reason: "holidays"}
	day := ship.Freeze{From: "2026-11-27T00:00:00-05:00", To: "2026-11-28T00:00:00-05:00", Reason: "sale"}
	night := ship.Freeze{From: "tue 22:00", To: "tue 21:00", Zone: "UTC", Reason: "all but an hour"}
	for _, tt := range []struct {
		freeze ship.Freeze
		now    string
		until  string // "" is not frozen
	}{
		{weekend, "2026-11-20T14:59:59Z", ""},
		{weekend, "2026-11-20T15:00:00Z", "2026-11-23T07:00:00Z"},
		{weekend, "2026-11-22T12:00:00Z", "2026-11-23T07:00:00Z"},
		{weekend, "2026-11-23T06:59:59Z", "2026-11-23T07:00:00Z"},
		{weekend, "2026-11-23T07:00:00Z", ""},
		{weekend, "2026-10-23T14:00:00Z", "2026-10-26T07:00:00Z"}, // the clocks are set back in between
		{weekend, "2026-03-27T15:00:00Z", "2026-03-30T06:00:00Z"}, // and forward
		{holidays, "2026-12-20T16:59:59Z", ""},
		{holidays, "2026-12-20T17:00:00Z", "2027-01-04T07:00:00Z"},
		{holidays, "2027-01-04T07:00:00Z", ""},
		{day, "2026-11-27T04:59:59Z", ""},
		{day, "2026-11-27T05:00:00Z", "2026-11-28T05:00:00Z"},
		{night, "2026-11-24T21:30:00Z", ""},
		{night, "2026-11-24T22:00:00Z", "2026-12-01T21:00:00Z"},
		{night, "2026-11-24T20:59:00Z", "2026-11-24T21:00:00Z"},
	} {
		got := pipeline.FrozenAt([]ship.Freeze{tt.freeze}, at(t, tt.now))
		switch {
		case tt.until == "" && got != nil:
			t.Errorf("%s at %s is frozen until %s", tt.freeze.Reason, tt.now, got.Until)
		case tt.until != "" && (got == nil || !got.Until.Equal(at(t, tt.until)) || got.Reason != tt.freeze.Reason):
			t.Errorf("%s at %s: %+v, want until %s", tt.freeze.Reason, tt.now, got, tt.until)
		}
	}
}

func TestOfSeveralFreezesTheOneThatEndsLastIsTold(t *testing.T) {
	list := []ship.Freeze{
		{From: "fri 16:00", To: "mon 08:00", Zone: "UTC", Reason: "weekend"},
		{From: "2026-12-20 00:00", To: "2027-01-04 00:00", Zone: "UTC", Reason: "holidays"},
	}
	if got := pipeline.FrozenAt(list, at(t, "2026-12-26T12:00:00Z")); got == nil || got.Reason != "holidays" {
		t.Errorf("%+v", got)
	}
	list = append(list, ship.Freeze{From: "soon", To: "later", Zone: "UTC"})
	if got := pipeline.FrozenAt(list, at(t, "2026-11-24T12:00:00Z")); got == nil || !strings.Contains(got.Reason, "not understood") {
		t.Errorf("one that nobody understands: %+v, want it to hold", got)
	}
}

func TestWhatIsNoFreezeIsRefused(t *testing.T) {
	for _, tt := range []struct {
		freeze ship.Freeze
		want   string
	}{
		{ship.Freeze{From: "fri 16:00", To: "mon 08:00"}, "the zone is missing"},
		{ship.Freeze{From: "fri 16:00", To: "mon 08:00", Zone: "Berlin"}, "no time zone"},
		{ship.Freeze{From: "fri 16:00", To: "mon 08:00", Zone: "Local"}, "no time zone"},
		{ship.Freeze{From: "fri 16:00", To: "mon 08:00", Zone: "../../etc/passwd"}, "no time zone"},
		{ship.Freeze{From: "fri 16:00", To: "2026-12-20 18:00", Zone: "UTC"}, "one end is a day of every week"},
		{ship.Freeze{From: "2026-12-20 18:00", To: "2026-12-21T18:00:00Z", Zone: "UTC"}, "an offset of its own"},
		{ship.Freeze{From: "2026-12-20T18:00:00Z", To: "2026-12-21T18:00:00Z", Zone: "UTC"}, "offsets of their own and the zone"},
		{ship.Freeze{From: "2026-12-20 18:00", To: "2026-12-20 18:00", Zone: "UTC"}, "before it begins"},
		{ship.Freeze{From: "fri 16:00", To: "FRI 16:00", Zone: "UTC"}, "same time of the week"},
		{ship.Freeze{From: "friday 16:00", To: "mon 08:00", Zone: "UTC"}, "no time such as"},
		{ship.Freeze{From: "2026-02-30 16:00", To: "2026-03-01 08:00", Zone: "UTC"}, "no time such as"},
		{ship.Freeze{From: "fri 25:00", To: "mon 08:00", Zone: "UTC"}, "no time such as"},
		{ship.Freeze{From: "", To: "mon 08:00", Zone: "UTC"}, "no time such as"},
	} {
		if _, err := pipeline.ParseWindow(tt.freeze); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.freeze, err, tt.want)
		}
	}
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"}

// A weekly freeze ends within a week or two, is over at its end, and holds at
// every moment until then. In a zone whose clocks are never set it holds just
// where the minute of the week lies between its ends.
func TestAWeeklyFreezeHoldsWithoutAGapAndEnds(t *testing.T) {
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	rapid.Check(t, func(t *rapid.T) {
		from, to := rapid.IntRange(0, 7*24*60-1).Draw(t, "from"), rapid.IntRange(0, 7*24*60-1).Draw(t, "to")
		if from == to {
			t.Skip("no freeze")
		}
		text := func(m int) string { return fmt.Sprintf("%s %02d:%02d", days[m/1440], m%1440/60, m%60) }
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		w, err := pipeline.ParseWindow(ship.Freeze{From: text(from), To: text(to), Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "now"), 0)
		until, frozen := w.Holds(now)
		if zone == "UTC" {
			u := now.UTC()
			m := int(u.Weekday())*1440 + u.Hour()*60 + u.Minute()
			if within := (m-from+7*1440)%(7*1440) < (to-from+7*1440)%(7*1440); within != frozen {
				t.Fatalf("%s to %s at %s: frozen %v", text(from), text(to), u, frozen)
			}
		}
		if !frozen {
			return
		}
		long := until.Sub(now)
		if long <= 0 || long > 8*24*time.Hour {
			t.Fatalf("it holds for %s more", long)
		}
		between := now.Add(time.Duration(rapid.Int64Range(0, int64(long)-1).Draw(t, "later")))
		if u, still := w.Holds(between); !still || !u.Equal(until) {
			t.Fatalf("at %s: frozen %v until %s; at %s until %s", between, still, u, now, until)
		}
		// Where the clocks are set at its end, the next may begin there.
		if next, still := w.Holds(until); still && next.Equal(until) {
			t.Fatalf("it still holds at its end, %s", until)
		}
	})
}

package window_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/window"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func open(t *testing.T, settings string) *window.Gate {
	t.Helper()
	var cfg window.Config
	if err := plugin.Decode(json.RawMessage(settings), &cfg); err != nil {
		t.Fatal(err)
	}
	g, err := window.New(cfg, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWindow(t *testing.T) {
	gatetest.Run(t, gatetest.Harness{
		Pass: func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, `{}`), gatetest.Candidate(t) },
		Fail: func(t *testing.T) (gate.Gate, gate.Candidate) {
			hour := (time.Now().UTC().Hour() + 12) % 24
			return open(t, fmt.Sprintf(`{"hours":"%02d:00-%02d:30"}`, hour, hour)), gatetest.Candidate(t)
		},
	})
}

// The clock of a bubble begins at midnight UTC of Saturday, 1 January 2000.
func TestTheWindowOpensAndClosesByTheClockOfItsZone(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name, settings string
		after          time.Duration
		want           ship.Outcome
		says           string
	}{
		{"before it opens", `{"hours":"09:00-17:00"}`, 9*time.Hour - time.Second, ship.Fail, "opens next on Sat 1 Jan 09:00 UTC, in 0s"},
		{"as it opens", `{"hours":"09:00-17:00"}`, 9 * time.Hour, ship.Pass, "open until Sat 1 Jan 17:00 UTC"},
		{"as it closes", `{"hours":"09:00-17:00"}`, 17 * time.Hour, ship.Fail, "opens next on Sun 2 Jan 09:00 UTC, in 16h0m0s"},
		{"at the weekend", `{"days":["mon-fri"],"hours":"09:00-17:00"}`, 10 * time.Hour, ship.Fail, "opens next on Mon 3 Jan 09:00 UTC, in 47h0m0s"},
		{"a week later to the minute", `{"days":"sat","hours":"09:00-10:00"}`, 10 * time.Hour, ship.Fail, "opens next on Sat 8 Jan 09:00 UTC, in 167h0m0s"},
		{"whole days, one after the other", `{"days":["sat-mon"]}`, time.Hour, ship.Pass, "open until Tue 4 Jan 00:00 UTC"},
		{"past midnight", `{"days":["sat"],"hours":"22:00-04:00"}`, day + 3*time.Hour, ship.Pass, "open until Sun 2 Jan 04:00 UTC"},
		{"past midnight of another day", `{"days":["sat"],"hours":"22:00-04:00"}`, 3 * time.Hour, ship.Fail, "opens next on Sat 1 Jan 22:00 UTC, in 19h0m0s"},
		{"where it is afternoon already", `{"hours":"09:00-10:00","zone":"Asia/Tokyo"}`, 0, ship.Pass, "it is Sat 1 Jan 09:00 JST"},
		// The clocks of Berlin went from 02:00 to 03:00 on 26 March 2000.
		{"an hour that is left out", `{"days":["sun"],"hours":"02:00-03:30","zone":"Europe/Berlin"}`, 85*day + 75*time.Minute, ship.Pass, "open until Sun 26 Mar 03:30 CEST"},
		{"a day of 23 hours", `{"days":["sun"],"hours":"09:00-10:00","zone":"Europe/Berlin"}`, 84*day + 23*time.Hour, ship.Fail, "opens next on Sun 26 Mar 09:00 CEST, in 8h0m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := open(t, tt.settings)
				time.Sleep(tt.after)
				v, err := g.Judge(t.Context(), gatetest.Candidate(t))
				if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
					t.Errorf("Judge() = %+v, %v; want %s with %q", v, err, tt.want, tt.says)
				}
			})
		})
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for settings, place := range map[string]string{
		`{"days":["monday"]}`: "days", `{"days":["mon-"]}`: "days", `{"days":[1]}`: "days.0", `{"hours":"9-17"}`: "hours", `{"hours":"09:00"}`: "hours",
		`{"hours":"24:00-01:00"}`: "hours", `{"hours":"08:00-08:00"}`: "hours", `{"hours":900}`: "hours", `{"zone":"Local"}`: "zone", `{"zone":"Berlin"}`: "zone",
		`{"zone":"../etc/passwd"}`: "zone", `{"hour":"x"}`: "hour",
	} {
		var cfg window.Config
		err := plugin.Decode(json.RawMessage(settings), &cfg)
		if err == nil {
			_, err = window.New(cfg, plugin.Deps{})
		}
		if err == nil || !strings.HasPrefix(err.Error(), place+": ") {
			t.Errorf("%s: %v, want a mistake of %s", settings, err, place)
		}
	}
}

package scan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/scan"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// sarif is a file with results of a tool that has two rules.
func sarif(results ...string) string {
	return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"bandit","rules":[
		{"id":"B101","defaultConfiguration":{"level":"note"},"messageStrings":{"default":{"text":"assert in {0}"}}},
		{"id":"B602","defaultConfiguration":{"level":"error"}}]}},
		"invocations":[{"executionSuccessful":true}],"results":[` + strings.Join(results, ",") + `]}]}`
}

func result(rule, level, file string, line int, more string) string {
	return fmt.Sprintf(`{"ruleId":%q,"level":%q,"message":{"text":"do not %s"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":%q},"region":{"startLine":%d,"snippet":{"text":"call()"}}}}]%s}`,
		rule, level, rule, file, line, more)
}

func open(t *testing.T, settings string) *scan.Gate {
	t.Helper()
	var cfg scan.Config
	if err := plugin.Decode(json.RawMessage(settings), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Run, cfg.SARIF = ship.Argv{"bandit"}, "scan.sarif"
	g, err := scan.New(cfg, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// scanned is a candidate in which a tool that ended with a code has found now,
// and in the release that serves it found before, "" is that it was not asked.
func scanned(t *testing.T, code int, now, before string) gate.Candidate {
	t.Helper()
	c := gatetest.Candidate(t)
	if now != "" {
		if err := os.WriteFile(filepath.Join(c.Dir, "scan.sarif"), []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Command = func(ctx context.Context, _ ship.Argv) (int, string, error) { return code, "12 files\n\n", ctx.Err() }
	if before != "" {
		c.Earlier = func(context.Context, string) ([]byte, error) { return []byte(before), nil }
	}
	return c
}

func TestScan(t *testing.T) {
	of := func(code int, now string) func(t *testing.T) (gate.Gate, gate.Candidate) {
		return func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, `{}`), scanned(t, code, now, "") }
	}
	gatetest.Run(t, gatetest.Harness{
		Pass:   of(0, sarif()),
		Fail:   of(1, sarif(result("B602", "error", "src/a.py", 7, ""))),
		Broken: of(2, sarif()),
	})
}

func TestFindingsAreCountedByLevelAndHeldToTheirLimits(t *testing.T) {
	two := sarif(result("B101", "warning", "src/a.py", 1, ""), result("B602", "error", "./src/b.py", 7, ""))
	for _, tt := range []struct {
		name, settings, now string
		want                ship.Outcome
		says                string
	}{
		{"an error is too much by default", `{}`, two, ship.Fail, "found 1 error (at most 0), 1 warning, 0 note; for example B602 in src/b.py:7: do not B602"},
		{"limits of their own", `{"error":1,"warning":10}`, two, ship.Pass, "found 1 error (at most 1), 1 warning (at most 10), 0 note"},
		{"from a level on", `{"fail_on":"warning","error":1}`, two, ship.Fail, "for example B101 in src/a.py:1"},
		{"the level of the rule", `{}`, sarif(`{"ruleIndex":1,"message":{"text":"x"}}`), ship.Fail, "1 error"},
		{"the level where nothing says one", `{}`, sarif(`{"ruleId":"Z","message":{"text":"x"}}`), ship.Pass, "1 warning"},
		{"a message of the rule", `{"note":0}`, sarif(`{"rule":{"id":"B101","index":0},"message":{"id":"default","arguments":["tests"]}}`), ship.Fail, "for example B101: assert in tests"},
		{"set aside in the code", `{}`, sarif(result("B602", "error", "a", 1, `,"suppressions":[{"kind":"inSource"}]`)), ship.Pass, "0 error"},
		{"not accepted to be set aside", `{}`, sarif(result("B602", "error", "a", 1, `,"suppressions":[{"kind":"external","status":"rejected"}]`)), ship.Fail, "1 error"},
		{"what a tool found to be well", `{}`, sarif(result("B602", "error", "a", 1, `,"kind":"pass"`)), ship.Pass, "0 error"},
		{"what is gone", `{}`, sarif(result("B602", "error", "a", 1, `,"baselineState":"absent"`)), ship.Pass, "0 error"},
		{"A59 a path that reads backwards", `{}`, sarif(result("B602", "error", "a\u202e.py", 1, "")), ship.Fail, "B602 in a.py:1"},
	} {
		v, err := open(t, tt.settings).Judge(t.Context(), scanned(t, 1, tt.now, ""))
		if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
			t.Errorf("%s: %+v, %v; want %s with %s", tt.name, v, err, tt.want, tt.says)
		}
	}
}

func TestNewIsWhatTheReleaseThatServesHasNot(t *testing.T) {
	known := result("B602", "error", "src/a.py", 7, "")
	moved := result("B602", "error", "src/a.py", 90, "")
	other := result("B602", "error", "src/b.py", 7, "")
	printed := result("B602", "error", "src/a.py", 7, `,"partialFingerprints":{"primaryLocationLineHash":"39fa2ee980eb94b0:1"}`)
	reprinted := strings.Replace(result("B602", "error", "src/a.py", 95, `,"partialFingerprints":{"primaryLocationLineHash":"39fa2ee980eb94b0:1"}`), "do not", "never", 1)
	for _, tt := range []struct {
		name, now, before string
		want              ship.Outcome
		says              string
	}{
		{"the same on another line", sarif(moved), sarif(known), ship.Pass, "0 new (at most 0)"},
		{"the same by its fingerprint", sarif(reprinted), sarif(printed), ship.Pass, "0 new"},
		{"in another file", sarif(known, other), sarif(known), ship.Fail, "1 new (at most 0); for example B602 in src/b.py:7"},
		{"once more", sarif(known, moved), sarif(known), ship.Fail, "1 new"},
		{"one less", sarif(known), sarif(known, moved), ship.Pass, "0 new"},
		{"nothing to compare with", sarif(known), "", ship.Pass, "no scan of the release that serves to compare with"},
		{"what cannot be read", sarif(known), "<xml>", ship.Pass, "no scan of the release that serves to compare with"},
	} {
		v, err := open(t, `{"new":0,"error":10}`).Judge(t.Context(), scanned(t, 1, tt.now, tt.before))
		if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
			t.Errorf("%s: %+v, %v; want %s with %s", tt.name, v, err, tt.want, tt.says)
		}
	}
	v, _ := open(t, `{"new":9,"error":10}`).Judge(t.Context(), scanned(t, 1, sarif(known, other), sarif(known)))
	if i := v.Report.Items; len(i) != 2 || !i[0].New || i[0].Where != "src/b.py:7" || i[1].New {
		t.Errorf("what is new does not come first: %+v", i)
	}
}

func TestNoEvidenceIsNoPass(t *testing.T) {
	for name, c := range map[string]gate.Candidate{
		"nothing was written":  scanned(t, 0, "", ""),
		"no SARIF":             scanned(t, 0, `{"results":[]}`, ""),
		"an older SARIF":       scanned(t, 0, `{"version":"1.0.0","runs":[]}`, ""),
		"cut off":              scanned(t, 0, sarif()[:60], ""),
		"the tool gave up":     scanned(t, 0, strings.Replace(sarif(), `"executionSuccessful":true`, `"executionSuccessful":false`, 1), ""),
		"the tool failed":      scanned(t, 3, sarif(), ""),
		"too much to be true":  scanned(t, 0, sarif(strings.Split(strings.Repeat(`{"ruleId":"Z"} `, 100_001), " ")[:100_001]...), ""),
		"the tool was stopped": {Command: func(context.Context, ship.Argv) (int, string, error) { return 0, "", errors.New("gone") }},
	} {
		if v, err := open(t, `{}`).Judge(t.Context(), c); err == nil || v.Outcome != "" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestWhatIsShownIsBounded(t *testing.T) {
	var all []string
	for i := range 1000 {
		all = append(all, result("B602", "error", fmt.Sprintf("%04d.py", i), 1, ""))
	}
	v, err := open(t, `{}`).Judge(t.Context(), scanned(t, 1, sarif(all...), ""))
	if err != nil || len(v.Report.Items) != 200 || v.Report.More != 800 {
		t.Errorf("%d items, %d more, %v", len(v.Report.Items), v.Report.More, err)
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for settings, place := range map[string]string{
		`{"run":["x"]}`: "sarif", `{"run":["x"],"sarif":"../x"}`: "sarif", `{"run":["x"],"sarif":"x","error":-1}`: "error", `{"run":["x"],"sarif":"x","new":"no"}`: "new",
		`{"run":["x"],"sarif":"x","fail_on":"high"}`: "fail_on", `{"run":["x"],"sarif":"x","critical":0}`: "critical",
	} {
		var cfg scan.Config
		err := plugin.Decode(json.RawMessage(settings), &cfg)
		if err == nil {
			_, err = scan.New(cfg, plugin.Deps{})
		}
		if at, ok := errors.AsType[*plugin.SettingError](err); !ok || at.Path[0] != place {
			t.Errorf("%s: %v, want a mistake of %s", settings, err, place)
		}
	}
	if _, err := scan.New(scan.Config{SARIF: "x"}, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
		t.Errorf("%v", err)
	}
}

func FuzzWhateverAToolWritesIsReadOrRefused(f *testing.F) {
	f.Add([]byte(sarif(result("B602", "error", "a", 1, ""))))
	f.Add([]byte(`{"version":"2.1.0","runs":[{"results":[{"ruleIndex":-1,"rule":{"toolComponent":{"index":9}}}]}]}`))
	g, err := scan.New(scan.Config{Run: ship.Argv{"x"}, SARIF: "x"}, plugin.Deps{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := g.Judge(t.Context(), gate.Candidate{
			Command: func(context.Context, ship.Argv) (int, string, error) { return 0, "", nil },
			File:    func(context.Context, string) ([]byte, error) { return text, nil },
			Earlier: func(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist },
		})
		if err == nil && (v.Reason == "" || len(v.Reason) > 1000 || strings.ContainsAny(v.Reason, "\n\x1b")) {
			t.Errorf("%+v", v)
		}
	})
}

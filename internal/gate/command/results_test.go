package command_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/command"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// wrote is a candidate whose command ends with a code and has written files.
func wrote(t *testing.T, code int, files map[string]string) gate.Candidate {
	t.Helper()
	c := gatetest.Candidate(t)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Command = func(context.Context, ship.Argv) (int, string, error) { return code, "the last line\n", nil }
	return c
}

func judge(t *testing.T, settings string, c gate.Candidate) (ship.Verdict, error) {
	t.Helper()
	var cfg command.Config
	if err := plugin.Decode(json.RawMessage(settings), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Run = ship.Argv{"pytest"}
	g, err := command.New(cfg, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g.Judge(t.Context(), c)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const tests = `{"junit":"junit.xml"}`

func TestFailedTestsAreNamedWithTheirFirstLine(t *testing.T) {
	v, err := judge(t, tests, wrote(t, 1, map[string]string{"junit.xml": read(t, "pytest.xml")}))
	if err != nil {
		t.Fatal(err)
	}
	want := `"pytest" ended with exit code 1: 2 of 4 tests failed, 1 skipped: shop.tests.test_cart.test_vat[19]: AssertionError: assert 118 == 119`
	if v.Outcome != ship.Fail || v.Reason != want {
		t.Errorf("%+v, want %s", v, want)
	}
	if items := v.Report.Items; len(items) != 2 || items[1].Title != "shop.tests.test_stock.test_reserve" || items[1].Text != `failed on setup with "fixture 'db' not found"` {
		t.Errorf("%+v", items)
	}
	if f := v.Report.Figures; f[0].Value != 2 || !f[0].Broken() || f[1].Value != 5 || f[2].Value != 1 {
		t.Errorf("%+v", f)
	}
}

func TestAFailureInTextAloneAndItsPlaceAreRead(t *testing.T) {
	v, err := judge(t, tests, wrote(t, 1, map[string]string{"junit.xml": read(t, "surefire.xml")}))
	if err != nil || len(v.Report.Items) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	want := ship.Item{Title: "com.example.CartTest.taxes", Level: "error", Where: "CartTest.java:17", Text: "expected: <119> but was: <118>"}
	if v.Report.Items[0] != want {
		t.Errorf("%+v", v.Report.Items[0])
	}
}

func TestFilesAreAddedUp(t *testing.T) {
	c := wrote(t, 1, map[string]string{"a.xml": read(t, "pytest.xml"), "b.xml": read(t, "surefire.xml"), "c.xml": read(t, "coverage.xml"), "d.xml": read(t, "coverage.xml")})
	v, err := judge(t, `{"junit":["a.xml","b.xml"],"cobertura":["c.xml","d.xml"]}`, c)
	if err != nil || v.Report.Figures[1].Value != 7 || !strings.Contains(v.Reason, "3 of 6 tests failed") || !strings.Contains(v.Reason, "85.0 % of 80 lines are covered") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestCoverageIsHeldToItsLimit(t *testing.T) {
	const classes = `<coverage line-rate="0.5"><packages><package><classes><class><methods><method><lines><line hits="1"/></lines></method></methods>
		<lines><line hits="1"/><line hits="0"/><line hits="7"/><line hits="2"/></lines></class></classes></package></packages></coverage>`
	for _, tt := range []struct {
		name, settings, file string
		want                 ship.Outcome
		says                 string
	}{
		{"enough", `{"cobertura":"c.xml","coverage":85}`, read(t, "coverage.xml"), ship.Pass, "85.0 % of 40 lines are covered"},
		{"too little", `{"cobertura":"c.xml","coverage":"85.1%"}`, read(t, "coverage.xml"), ship.Fail, "85.0 % of 40 lines are covered, and must be at least 85.1 %"},
		{"without a limit", `{"cobertura":"c.xml"}`, read(t, "coverage.xml"), ship.Pass, ""},
		{"counted by lines", `{"cobertura":"c.xml","coverage":75}`, classes, ship.Pass, "75.0 % of 4 lines"},
		{"of nothing", `{"cobertura":"c.xml","coverage":1}`, `<coverage lines-valid="0" lines-covered="0"/>`, ship.Fail, "0.0 % of 0 lines"},
	} {
		v, err := judge(t, tt.settings, wrote(t, 0, map[string]string{"c.xml": tt.file}))
		if err != nil || v.Outcome != tt.want || !strings.Contains(v.Reason, tt.says) {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
	}
}

func TestNoEvidenceIsNoPass(t *testing.T) {
	skipped := `<testsuite><testcase name="a"><skipped/></testcase></testsuite>`
	if v, err := judge(t, tests, wrote(t, 0, map[string]string{"junit.xml": skipped})); err != nil || v.Outcome != ship.NoConclusion {
		t.Errorf("nothing was tested: %+v, %v", v, err)
	}
	if v, err := judge(t, tests, wrote(t, 0, nil)); err == nil || v.Outcome == ship.Pass {
		t.Errorf("nothing was written: %+v, %v", v, err)
	}
	failed := `<testsuite><testcase name="a"><failure/></testcase></testsuite>`
	if v, err := judge(t, tests, wrote(t, 0, map[string]string{"junit.xml": failed})); err != nil || v.Outcome != ship.Fail {
		t.Errorf("a runner hid that a test failed: %+v, %v", v, err)
	}
	v, err := judge(t, tests, wrote(t, 3, nil))
	if err != nil || v.Outcome != ship.Fail || v.Reason != `"pytest" ended with exit code 3: the last line` {
		t.Errorf("a runner that failed wrote nothing: %+v, %v", v, err)
	}
}

func TestWhatIsNotSuchXMLIsAnError(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"an external entity": `<!DOCTYPE t [<!ENTITY x SYSTEM "file://` + outside + `">]><testsuite><testcase name="&x;"><failure message="&x;"/></testcase></testsuite>`,
		"a billion laughs":   `<!DOCTYPE t [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>`,
		"another document":   `<html><testcase name="a"/></html>`,
		"two documents":      `<testsuite/><testsuite/>`,
		"cut off":            `<testsuite><testcase name="a">`,
		"nothing":            ``,
		"text":               `no tests`,
		"too deep":           `<testsuite>` + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + `</testsuite>`,
		"another coding":     `<?xml version="1.0" encoding="EBCDIC"?><testsuite/>`,
	} {
		v, err := judge(t, tests, wrote(t, 0, map[string]string{"junit.xml": text}))
		if err == nil || v.Outcome == ship.Pass || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for _, settings := range []string{`{"coverage":80}`, `{"junit":"/etc/passwd"}`, `{"junit":["../x"]}`, `{"cobertura":"c.xml","coverage":101}`, `{"cobertura":"c.xml","coverage":"lots"}`} {
		cfg := command.Config{}
		err := plugin.Decode(json.RawMessage(settings), &cfg)
		if err == nil {
			cfg.Run = ship.Argv{"true"}
			_, err = command.New(cfg, plugin.Deps{})
		}
		if ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func FuzzWhateverACommandWritesIsReadOrRefused(f *testing.F) {
	for _, name := range []string{"pytest.xml", "surefire.xml", "coverage.xml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	g, err := command.New(command.Config{Run: ship.Argv{"x"}, JUnit: gate.Paths{"j"}, Cobertura: gate.Paths{"c"}}, plugin.Deps{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, as := range []string{"j", "c"} {
			v, err := g.Judge(t.Context(), gate.Candidate{
				Command: func(context.Context, ship.Argv) (int, string, error) { return 1, "", nil },
				File: func(_ context.Context, path string) ([]byte, error) {
					if path != as {
						return nil, os.ErrNotExist
					}
					return text, nil
				},
			})
			if err != nil || v.Outcome != ship.Fail || v.Reason == "" || len(v.Reason) > 1000 || strings.ContainsAny(v.Reason, "\n\x1b") {
				t.Errorf("%+v, %v", v, err)
			}
		}
	})
}

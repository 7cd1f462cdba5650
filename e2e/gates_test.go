package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

const gatesYAML = `
gates:
  unit:  {run: cp tests.xml junit.xml, junit: junit.xml}
  scan:  {run: cp found.sarif scan.sarif, sarif: scan.sarif, error: 9, new: 0}
  hours: {window: {days: [mon-sun]}}
  e2e:   {run: test -n $SHIPLOCK_URL}
  smoke: {http: {requests: [/healthz, {path: /products, within: 30s}]}}
  load:  {load: {users: 5, spawn_rate: 100, for: 1s, paths: [/, {path: /products, weight: 3}], p95: 30s}}
`

const testsXML = `<testsuite><testcase classname="cart" name="total"/><testcase classname="cart" name="vat"/></testsuite>`

// sarifOf is a file with an error in each of the given files.
func sarifOf(files ...string) string {
	var results []string
	for _, f := range files {
		results = append(results, fmt.Sprintf(`{"ruleId":"B602","level":"error","message":{"text":"a shell"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":%q},"region":{"startLine":7}}}]}`, f))
	}
	return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"bandit"}},"results":[` + strings.Join(results, ",") + `]}]}`
}

// Gates of every place are asked of the real program, and one that says no
// leaves the old release where it is.
func TestGatesProveAReleaseBeforeUsersGetToIt(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	yaml := fmt.Sprintf(goYAML, s.port, "1s")
	s.write("shiplock.yaml", strings.Replace(yaml, "{platform: process,", "{platform: process, gates: [load, unit, e2e, scan, smoke, hours],", 1)+gatesYAML, 0o644)
	s.write("tests.xml", testsXML, 0o644)
	s.write("found.sarif", sarifOf("a.py"), 0o644)
	first := s.do("deploy", "production", "--wait", "watched")
	first.expect(t, 0, "", ship.SchemaChanged, 1)
	order := ""
	for _, e := range first.events {
		if e.Type == ship.EventDone && (strings.HasPrefix(e.Step, "gate ") || e.Step == "smoke" || e.Step == "shift" || e.Step == "migrate") {
			order += e.Step + ": " + e.Text + "\n"
		}
	}
	for _, before := range [][2]string{{"gate unit: ", "migrate: "}, {"gate scan: ", "migrate: "}, {"gate hours: ", "migrate: "}, {"smoke: ", "gate smoke: "}, {"gate e2e: ", "gate load: "}, {"gate smoke: ", "gate load: "}, {"gate load: ", "shift: "}} {
		if a, b := strings.Index(order, before[0]), strings.Index(order, before[1]); a < 0 || b < a {
			t.Errorf("%snot before %s:\n%s", before[0], before[1], order)
		}
	}
	explained, _ := s.cli("explain", first.Run)
	for _, want := range []string{"2 tests passed", "gate load found:", "at most 30000 ms", "gate scan found:", "B602  a.py:7: a shell", "kept: "} {
		if !strings.Contains(explained, want) {
			t.Errorf("explain does not say %q:\n%s", want, explained)
		}
	}

	s.write("found.sarif", sarifOf("b.py", "a.py"), 0o644)
	worse := s.do("deploy", "production")
	worse.expect(t, 5, ship.GateFailed, ship.SchemaUnchanged, 1)
	worse.says(t, "gate scan", "1 new (at most 0)", "b.py:7")

	s.write("found.sarif", sarifOf(), 0o644)
	s.change("shiplock.yaml", "{path: /products,", "{path: /products, status: 418,")
	broken := s.do("deploy", "production")
	broken.expect(t, 5, ship.GateFailed, ship.SchemaUnchanged, 1)
	broken.says(t, "gate smoke", "GET /products was answered with status 200, not 418")
	if serving, _ := s.cli("status"); !strings.Contains(serving, "v1") {
		t.Error(serving)
	}
}

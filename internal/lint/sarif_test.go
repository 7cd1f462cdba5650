package lint_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestSARIFNamesEveryRuleAndPlaceInItsOwnWords(t *testing.T) {
	text := "SELECT 'é'; ALTER TABLE a DROP COLUMN b; -- shiplock:ignore PG118\nFROBNICATE a;"
	l := linter(t)
	var out bytes.Buffer
	if err := l.WriteSARIF(&out, l.Run(lint.Parts("my files/1 ü%.sql", text), lint.Options{Dialect: sqltext.Postgres}), false); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Runs []struct {
			ColumnKind string
			Tool       struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID    string
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	run := got.Runs[0]
	known := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		known[r.ID] = true
	}
	for _, r := range run.Results {
		at := r.Locations[0].PhysicalLocation
		if u, err := url.Parse(at.ArtifactLocation.URI); !known[r.RuleID] || err != nil || u.Path != "my files/1 ü%.sql" || strings.ContainsAny(at.ArtifactLocation.URI, " ü") {
			t.Errorf("%s is at %q, and its rule is described: %t", r.RuleID, at.ArtifactLocation.URI, known[r.RuleID])
		}
		if r.RuleID == "PG116" && (at.Region.StartLine != 1 || at.Region.StartColumn != 13 || run.ColumnKind != "unicodeCodePoints") {
			t.Errorf("PG116 is at %+v in %s, want column 13", at.Region, run.ColumnKind)
		}
	}
	if len(run.Results) != 3 || !known["PG000"] || !known["PG090"] {
		t.Errorf("%d results, rules %v", len(run.Results), known)
	}
}

func TestCaretsStandBelowWhatTheyShow(t *testing.T) {
	var out strings.Builder
	found := linter(t).Run([]lint.File{{Name: "f", Text: "ALTER TABLE a ADD COLUMN é int, DROP COLUMN ü;"}}, lint.Options{Dialect: sqltext.Postgres})
	if err := lint.WriteText(&out, found, false); err != nil {
		t.Fatal(err)
	}
	want := "    1 | ALTER TABLE a ADD COLUMN é int, DROP COLUMN ü\n      |                                 ^^^^^^^^^^^^^\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("want\n%sin\n%s", want, out.String())
	}
}

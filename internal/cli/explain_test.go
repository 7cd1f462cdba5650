package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/analysis/report"
	"github.com/shiplock/shiplock/internal/cli"
	"github.com/shiplock/shiplock/internal/ship"
)

// keptReport writes a report of a release that failed as a file, and what
// change makes of it.
func keptReport(t *testing.T, change func(*report.Report)) string {
	t.Helper()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := analysis.New(analysis.Config{Limits: ship.Limits{For: time.Minute, ErrorRate: 0.01}, Began: began, New: "v42", Old: "v41"})
	e.Observe(analysis.Sample{At: began.Add(time.Second), New: analysis.Counts{Requests: 150}})
	e.Observe(analysis.Sample{At: began.Add(2 * time.Second), New: analysis.Counts{Requests: 203, Errors: 11, Counted: 11}})
	r := report.New(ship.Run{ID: "run-7"}, nil, e.Evidence())
	if change != nil {
		change(&r)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAVerdictInAFileIsJudgedAgainWithoutAServer(t *testing.T) {
	tests := []struct {
		name   string
		change func(*report.Report)
		code   int
		says   string
	}{
		{"as it was", nil, 0, "The verdict is the same."},
		{"with fewer errors", func(r *report.Report) { r.Evidence.Trail.Samples[1].New = analysis.Counts{Requests: 203} }, 1, "The verdict is NOT the same."},
		{"without samples", func(r *report.Report) { r.Evidence.Trail.Samples = nil }, 2, "it is no report of a watch"},
		{"of a later version", func(r *report.Report) { r.Evidence.Schema = 99 }, 2, "it is no report of a watch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := cli.Run(t.Context(), []string{"explain", "--replay", keptReport(t, tt.change), "--data", t.TempDir()}, nil, &out, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, tt.code, tt.says, out.String())
			}
		})
	}
}

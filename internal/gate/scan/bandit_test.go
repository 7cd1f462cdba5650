package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/scan"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestWhatBanditFindsIsReadAndComparedWithTheReleaseThatServes(t *testing.T) {
	python := filepath.Join(testneed.Python(t, "bandit==1.9.4", "bandit-sarif-formatter==1.1.1"), "bin", "python")
	c := gatetest.Candidate(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.Dir, "shop.py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := 0
	g, err := scan.New(scan.Config{
		Run:   ship.Argv{python, "-m", "bandit", "-q", "-r", "shop.py", "-f", "sarif", "-o", "scan.sarif"},
		SARIF: "scan.sarif", Error: &none, New: &none,
	}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	judge := func() ship.Verdict {
		t.Helper()
		v, err := g.Judge(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	write("assert 1 == 1\n")
	v := judge()
	if v.Outcome != ship.Pass || len(v.Report.Items) != 1 || v.Report.Items[0].Title != "B101" || v.Report.Items[0].Where != "shop.py:1" {
		t.Errorf("%+v %+v", v, v.Report)
	}
	before, err := os.ReadFile(filepath.Join(c.Dir, "scan.sarif"))
	if err != nil {
		t.Fatal(err)
	}
	c.Earlier = func(context.Context, string) ([]byte, error) { return before, nil }
	write("\n\nassert 1 == 1\n")
	if v := judge(); v.Outcome != ship.Pass || v.Report.Items[0].New || v.Report.Items[0].Where != "shop.py:3" {
		t.Errorf("what only moved is new: %+v %+v", v, v.Report)
	}
	write("assert 1 == 1\nimport subprocess\nsubprocess.Popen('ls ' + input(), shell=True)\n")
	v = judge()
	if v.Outcome != ship.Fail || !strings.Contains(v.Reason, "B602 in shop.py:3: ") || !v.Report.Items[0].New {
		t.Errorf("%+v %+v", v, v.Report)
	}
}

package lint

import (
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// The parts of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Columns string        `json:"columnKind"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
		FullDescription  sarifText `json:"fullDescription"`
		Help             sarifText `json:"help"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID     string          `json:"ruleId"`
		Level      string          `json:"level"`
		Message    sarifText       `json:"message"`
		Locations  []sarifLocation `json:"locations"`
		Properties map[string]any  `json:"properties"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region sarifRegion `json:"region"`
		} `json:"physicalLocation"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn"`
		EndLine     int        `json:"endLine"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
)

// WriteSARIF writes findings as SARIF 2.1.0, with the rules that found them.
func (l *Linter) WriteSARIF(w io.Writer, found []Finding, contract bool) error {
	run := sarifRun{Columns: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "shiplock", Rules: []sarifRule{}}
	used := map[string]bool{}
	for _, f := range found {
		used[f.Rule] = true
		run.Results = append(run.Results, f.sarif(contract))
	}
	for _, r := range slices.Concat(Notes(), l.rules) {
		if used[r.ID] {
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
				ID: r.ID, ShortDescription: sarifText{r.Facts.Operation}, FullDescription: sarifText{r.Facts.Operation + ". Locks: " + r.Facts.Locks},
				Help: sarifText{orDash(r.Facts.Safe)},
			})
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func (f Finding) sarif(contract bool) sarifResult {
	r := sarifResult{RuleID: f.Rule, Level: f.level(contract, "note"), Message: sarifText{f.Message}}
	var at sarifLocation
	at.Physical.Artifact.URI = (&url.URL{Path: strings.ReplaceAll(f.File, `\`, "/")}).String()
	at.Physical.Region = sarifRegion{StartLine: max(1, f.Line), StartColumn: max(1, f.Column), EndLine: max(1, f.Line) + strings.Count(f.Statement, "\n")}
	if f.Statement != "" {
		at.Physical.Region.Snippet = &sarifText{f.Statement}
	}
	r.Locations = []sarifLocation{at}
	r.Properties = map[string]any{
		"class": f.Class, "locks": append([]Lock{}, f.Locks...), "work": f.Work, "breaksRunningRelease": f.Breaks, "breaksWayDown": f.Stuck, "rewrite": f.Rewrite,
	}
	return r
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

package scan

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/ship"
)

// maxFindings is the number above which a tool is taken not to be set up.
const maxFindings = 100_000

// A finding is a result of the tool. Its identity is the same in another
// release, though the line is another.
type finding struct {
	ship.Item
	identity string
}

// A file is what of SARIF 2.1.0 is read.
type file struct {
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Tool struct {
		Driver     component   `json:"driver"`
		Extensions []component `json:"extensions"`
	} `json:"tool"`
	Invocations []struct {
		Successful *bool `json:"executionSuccessful"`
	} `json:"invocations"`
	Results []result `json:"results"`
}

type component struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	ID            string `json:"id"`
	Configuration struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
	Messages map[string]message `json:"messageStrings"`
}

type message struct {
	Text      string   `json:"text"`
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

type reference struct {
	ID        string `json:"id"`
	Index     *int   `json:"index"`
	Component struct {
		Index *int `json:"index"`
	} `json:"toolComponent"`
}

type result struct {
	RuleID    string    `json:"ruleId"`
	RuleIndex *int      `json:"ruleIndex"`
	Rule      reference `json:"rule"`
	Kind      string    `json:"kind"`
	Level     string    `json:"level"`
	Message   message   `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				Line    int `json:"startLine"`
				Snippet struct {
					Text string `json:"text"`
				} `json:"snippet"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Fingerprints map[string]string `json:"fingerprints"`
	Partial      map[string]string `json:"partialFingerprints"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
	Baseline string `json:"baselineState"`
}

// read returns what a tool found and nobody has set aside.
func read(text []byte) ([]finding, error) {
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, ship.Errorf(ship.Failed, "see whether the tool wrote it whole", "it is not SARIF: %w", err)
	}
	if !strings.HasPrefix(f.Version, "2.") || f.Runs == nil {
		return nil, ship.Errorf(ship.Failed, "have the tool write SARIF 2.1", "it is not SARIF 2: version %q", gate.Line(f.Version, maxName))
	}
	found := []finding{}
	for _, r := range f.Runs {
		for _, i := range r.Invocations {
			if i.Successful != nil && !*i.Successful {
				return nil, ship.Errorf(ship.Failed, "", "%s says that it did not come to its end", gate.Line(r.Tool.Driver.Name, maxName))
			}
		}
		for _, res := range r.Results {
			if res.counts(r) {
				found = append(found, res.finding(r))
			}
		}
		if len(found) > maxFindings {
			return nil, ship.Errorf(ship.Failed, "have the tool leave folders out that are not yours", "more than %d findings", maxFindings)
		}
	}
	return found, nil
}

// counts tells whether a result is one that somebody has to see to.
func (r result) counts(of run) bool {
	for _, s := range r.Suppressions {
		if s.Status == "" || s.Status == "accepted" {
			return false
		}
	}
	return (r.Kind == "" || r.Kind == "fail") && r.Baseline != "absent" && r.level(of) != "none"
}

// level is that of the result, else of its rule, else a warning, as the
// standard has it.
func (r result) level(of run) string {
	level := r.Level
	if rule := r.rule(of); level == "" && rule != nil {
		level = rule.Configuration.Level
	}
	if level != "none" && !slices.Contains(levels[:], level) {
		return "warning"
	}
	return level
}

// rule returns what the tool says of the result's rule, nil when it says nothing.
func (r result) rule(of run) *rule {
	c := of.Tool.Driver
	if i := r.Rule.Component.Index; i != nil && *i >= 0 && *i < len(of.Tool.Extensions) {
		c = of.Tool.Extensions[*i]
	}
	index := r.RuleIndex
	if index == nil {
		index = r.Rule.Index
	}
	if index != nil && *index >= 0 && *index < len(c.Rules) {
		return &c.Rules[*index]
	}
	id := r.id()
	if i := slices.IndexFunc(c.Rules, func(x rule) bool { return x.ID == id }); i >= 0 && id != "" {
		return &c.Rules[i]
	}
	return nil
}

func (r result) id() string {
	if r.RuleID != "" {
		return r.RuleID
	}
	return r.Rule.ID
}

func (r result) finding(of run) finding {
	id := r.id()
	rule := r.rule(of)
	if id == "" && rule != nil {
		id = rule.ID
	}
	f := finding{Item: ship.Item{Title: gate.Line(id, maxName), Level: r.level(of), Text: gate.Line(r.text(rule), maxText)}}
	if f.Title == "" {
		f.Title = "no rule"
	}
	path, snippet := "", ""
	if len(r.Locations) > 0 {
		at := r.Locations[0].Physical
		path, snippet = where(at.Artifact.URI), at.Region.Snippet.Text
		if f.Where = gate.Line(path, maxText); at.Region.Line > 0 && path != "" {
			f.Where += fmt.Sprintf(":%d", at.Region.Line)
		}
	}
	prints := r.Fingerprints
	if len(prints) == 0 {
		prints = r.Partial
	}
	parts := []string{of.Tool.Driver.Name, id, path}
	for _, name := range slices.Sorted(maps.Keys(prints)) {
		parts = append(parts, name, prints[name])
	}
	if len(prints) == 0 {
		parts = append(parts, r.text(rule), strings.Join(strings.Fields(snippet), " "))
	}
	f.identity = strings.Join(parts, "\x00")
	return f
}

// text is the result's message, or that of its rule with its arguments.
func (r result) text(of *rule) string {
	text := r.Message.Text
	if text == "" && of != nil {
		text = of.Messages[r.Message.ID].Text
	}
	for i, a := range r.Message.Arguments {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i), a)
	}
	return text
}

// where is the path of a file as a person writes it.
func where(uri string) string {
	if u, err := url.Parse(uri); err == nil && (u.Scheme == "" || u.Scheme == "file") {
		return strings.TrimPrefix(u.Path, "./")
	}
	return uri
}

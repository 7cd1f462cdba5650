// Package metrics is a gate that asks a Prometheus server for the value of an
// expression and compares it. It knows the HTTP API of instant queries; the
// language of the expression it refuses to know.
package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	URL     string                `json:"url" jsonschema_description:"Where Prometheus answers, such as http://prometheus:9090. Mimir, Thanos and VictoriaMetrics speak the same API below a path."`
	Query   string                `json:"query" jsonschema_description:"Expression in the language of Prometheus, of one value or several. Every value must hold."`
	Is      Comparison            `json:"is" jsonschema_description:"What each value must be, such as \"< 0.01\". One of < <= > >= == and a number."`
	Headers map[string]ship.Value `json:"headers,omitempty" jsonschema_description:"Headers of the request, such as Authorization. They may refer to secrets."`
	Timeout gate.Duration         `json:"timeout,omitempty" jsonschema_description:"Time for the answer. Default 10s."`
}

const defaultTimeout = 10 * time.Second

// A Gate judges by the value of an expression.
type Gate struct {
	cfg      Config
	endpoint string
	resolve  func(ship.Value) (ship.Secret, error)
	client   *http.Client
}

var _ gate.Gate = (*Gate)(nil)

// New returns a metrics gate.
func New(cfg Config, d plugin.Deps) (*Gate, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, plugin.At("url", ship.Errorf(ship.Invalid, "write for example http://prometheus:9090", "the URL of Prometheus is http:// or https:// and a host"))
	case u.User != nil:
		return nil, plugin.At("url", ship.Errorf(ship.Invalid, `set headers: {Authorization: "Basic ${secret:PROMETHEUS}"}`, "a password does not belong in the URL"))
	case u.RawQuery != "" || u.Fragment != "":
		return nil, plugin.At("url", ship.Errorf(ship.Invalid, "set query", "the URL of Prometheus ends with its path"))
	case strings.TrimSpace(cfg.Query) == "":
		return nil, plugin.At("query", ship.Errorf(ship.Invalid, "set query", "there is nothing to ask for"))
	case cfg.Is.Sign == "":
		return nil, plugin.At("is", ship.Errorf(ship.Invalid, `set is: "< 0.01"`, "it is not said what the value must be"))
	}
	return &Gate{cfg: cfg, endpoint: u.JoinPath("api", "v1", "query").String(), resolve: d.Resolve, client: client(cfg.Timeout.Or(defaultTimeout))}, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
	samples, warnings, err := g.ask(ctx)
	if err != nil {
		return ship.Verdict{}, err
	}
	query := gate.Line(g.cfg.Query, maxQuery)
	if len(samples) == 0 {
		return ship.Verdict{Outcome: ship.NoConclusion, Reason: fmt.Sprintf("%q has no value at Prometheus: no data is no proof", query)}, nil
	}
	v := ship.Verdict{Outcome: ship.Pass, Report: g.report(samples, warnings)}
	wrong := 0
	for _, s := range samples {
		switch {
		case math.IsNaN(s.Value):
			return ship.Verdict{Outcome: ship.NoConclusion, Report: v.Report, Reason: fmt.Sprintf("%q%s is not a number: no data is no proof", query, s.of())}, nil
		case g.cfg.Is.holds(s.Value):
			continue
		case wrong == 0:
			v.Outcome, v.Reason = ship.Fail, fmt.Sprintf("%q%s is %s, and must be %s", query, s.of(), number(s.Value), g.cfg.Is)
		}
		wrong++
	}
	switch {
	case wrong > 1:
		v.Reason += fmt.Sprintf("; so are %d more of %d", wrong-1, len(samples))
	case wrong == 0 && len(samples) == 1:
		v.Reason = fmt.Sprintf("%q%s is %s, and must be %s", query, samples[0].of(), number(samples[0].Value), g.cfg.Is)
	case wrong == 0:
		v.Reason = fmt.Sprintf("all %d values of %q are %s", len(samples), query, g.cfg.Is)
	}
	if len(warnings) > 0 {
		v.Reason += "; Prometheus warns: " + gate.Line(warnings[0], maxWarning)
	}
	return v, nil
}

// What of an expression and an answer is quoted.
const (
	maxQuery   = 200 // bytes
	maxLabels  = 200
	maxWarning = 200
	mostShown  = 20 // values and warnings in a report
)

func (g *Gate) report(samples []sample, warnings []string) *ship.Report {
	r := &ship.Report{}
	for _, s := range samples[:min(len(samples), mostShown)] {
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			r.Items = append(r.Items, ship.Item{Title: "value", Text: strings.TrimSpace(number(s.Value) + s.of())})
			continue // JSON has no such number
		}
		f := ship.Figure{Name: "value" + s.of(), Value: s.Value}
		if sign := g.cfg.Is.Sign; sign != "==" {
			f.Limit, f.AtMost = &g.cfg.Is.Number, sign[0] == '<'
		}
		r.Figures = append(r.Figures, f)
	}
	r.More = max(len(samples)-mostShown, 0)
	for _, w := range warnings[:min(len(warnings), mostShown)] {
		r.Items = append(r.Items, ship.Item{Title: "Prometheus warns", Level: "warning", Text: gate.Line(w, maxWarning)})
	}
	return r
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// A Comparison is a setting such as "< 0.01".
type Comparison struct {
	Sign   string
	Number float64
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *Comparison) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	text = strings.TrimSpace(text)
	for _, sign := range []string{"<=", ">=", "==", "<", ">"} {
		rest, ok := strings.CutPrefix(text, sign)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			break
		}
		c.Sign, c.Number = sign, v
		return nil
	}
	return ship.Errorf(ship.Invalid, `write for example "< 0.01"`, "%q is no comparison with a number", gate.Shorten(text, 40))
}

// String is the comparison as it is written.
func (c Comparison) String() string { return c.Sign + " " + number(c.Number) }

// SettingSchema is the JSON Schema of the setting.
func (Comparison) SettingSchema() string {
	return `{"type": "string", "pattern": "^\\s*(<=|>=|==|<|>)\\s*[-+0-9.eE]+\\s*$"}`
}

func (c Comparison) holds(v float64) bool {
	switch c.Sign {
	case "<":
		return v < c.Number
	case "<=":
		return v <= c.Number
	case ">":
		return v > c.Number
	case ">=":
		return v >= c.Number
	}
	return v == c.Number
}

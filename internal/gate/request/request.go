// Package request is a gate that sends requests to the candidate, before users
// do, and compares the answers with what they should be. It knows HTTP; how
// many requests an application can bear is for another gate.
package request

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Requests []Request `json:"requests" jsonschema_description:"Requests in the order in which they are sent: paths, or mappings with what the answer must be. GET and HEAD go to every instance, others to the first."`
}

// A Request is what is asked, and what the answer must be.
type Request struct {
	Path    string                     `json:"path" jsonschema_description:"Path, with a query if there is one."`
	Method  string                     `json:"method,omitempty" jsonschema_description:"Default GET, or POST with a body."`
	Headers map[string]ship.Value      `json:"headers,omitempty" jsonschema_description:"Headers. They may refer to secrets."`
	Body    ship.Value                 `json:"body,omitempty" jsonschema_description:"Body. Its Content-Type is application/json unless headers say otherwise."`
	Status  int                        `json:"status,omitempty" jsonschema_description:"Status of the answer. Default any from 200 to 299. Redirects are not followed."`
	Text    string                     `json:"text,omitempty" jsonschema_description:"Text that the body of the answer contains."`
	JSON    map[string]json.RawMessage `json:"json,omitempty" jsonschema_description:"What the answer, which is JSON, has at some places: {user.name: ann, items.0.price: 3}."`
	Within  gate.Duration              `json:"within,omitempty" jsonschema_description:"Time for the whole answer. Default 10s."`
}

// UnmarshalJSON implements [json.Unmarshaler]: a text is a path.
func (r *Request) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &r.Path) == nil {
		return nil
	}
	type plain Request // without this method
	var p plain
	if err := plugin.Decode(raw, &p); err != nil {
		return err
	}
	*r = Request(p)
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Request) SettingSchema() string {
	const text, headers = `{"type": "string"}`, `{"type": "object", "additionalProperties": {"type": "string"}}`
	return `{"anyOf": [{"type": "string", "pattern": "^/"}, {"type": "object", "required": ["path"], "additionalProperties": false, "properties": {
		"path": {"type": "string", "pattern": "^/"}, "method": ` + text + `, "headers": ` + headers + `, "body": ` + text + `,
		"status": {"type": "integer", "minimum": 100, "maximum": 599}, "text": ` + text + `, "json": {"type": "object"},
		"within": ` + gate.Duration(0).SettingSchema() + `}}]}`
}

const (
	maxRequests   = 200
	defaultWithin = 10 * time.Second
)

// A Gate judges by answers to requests.
type Gate struct {
	cfg     Config
	resolve func(ship.Value) (ship.Secret, error)
}

var _ gate.Visitor = (*Gate)(nil)

// New returns a gate of requests.
func New(cfg Config, d plugin.Deps) (*Gate, error) {
	if len(cfg.Requests) == 0 || len(cfg.Requests) > maxRequests {
		return nil, plugin.At("requests", ship.Errorf(ship.Invalid, "write for example requests: [/]", "there must be 1 to %d requests", maxRequests))
	}
	for i := range cfg.Requests {
		if field, err := cfg.Requests[i].check(); err != nil {
			return nil, plugin.At(fmt.Sprintf("requests.%d.%s", i, field), err)
		}
	}
	return &Gate{cfg, d.Resolve}, nil
}

// check decides what is not set, and says which setting is wrong.
func (r *Request) check() (field string, err error) {
	if u, err := url.ParseRequestURI(r.Path); err != nil || !strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "//") || u.Host != "" {
		return "path", ship.Errorf(ship.Invalid, "begin it with one slash", "%q is not a path", gate.Shorten(r.Path, 40))
	}
	if r.Method == "" {
		r.Method = http.MethodGet
		if r.Body != "" {
			r.Method = http.MethodPost
		}
	}
	if _, err := http.NewRequestWithContext(context.Background(), r.Method, "http://candidate"+r.Path, nil); err != nil || strings.ToUpper(r.Method) != r.Method {
		return "method", ship.Errorf(ship.Invalid, "write for example POST", "%q is not a method", gate.Shorten(r.Method, 40))
	}
	if r.Status != 0 && (r.Status < 100 || r.Status > 599) {
		return "status", ship.Errorf(ship.Invalid, "", "%d is no status of HTTP", r.Status)
	}
	r.Within = gate.Duration(r.Within.Or(defaultWithin))
	return "", nil
}

// Visits implements [gate.Visitor].
func (*Gate) Visits() {}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	if len(c.Targets) == 0 {
		return ship.Verdict{}, ship.Errorf(ship.Invalid, "list it in an environment whose release has a web process", "%s has nobody to ask: no web instance of the candidate runs", c.Name)
	}
	client := newClient()
	defer client.CloseIdleConnections()
	var wrong []ship.Item
	asked := 0
	var slowest time.Duration
	for i, r := range g.cfg.Requests {
		targets := c.Targets
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			targets = targets[:1]
		}
		for _, target := range targets {
			took, problem, err := g.ask(ctx, client, r, target, c.Host)
			if err != nil {
				return ship.Verdict{}, fmt.Errorf("request %d, %s %s: %w", i+1, r.Method, r.Path, err)
			}
			asked++
			slowest = max(slowest, took)
			if problem != "" {
				wrong = append(wrong, ship.Item{Title: gate.Line(r.Method+" "+r.Path, maxPath), Level: "error", Where: target, Text: problem})
			}
		}
	}
	return verdict(asked, slowest, wrong), nil
}

// What of a request is quoted.
const maxPath = 200 // bytes

func verdict(asked int, slowest time.Duration, wrong []ship.Item) ship.Verdict {
	none := 0.0
	v := ship.Verdict{Outcome: ship.Pass, Report: &ship.Report{Items: wrong, Figures: []ship.Figure{
		{Name: "failed requests", Value: float64(len(wrong)), Limit: &none, AtMost: true},
		{Name: "requests", Value: float64(asked)},
		{Name: "slowest answer", Value: float64(slowest.Microseconds()) / 1000, Unit: "ms"},
	}}}
	if len(wrong) == 0 {
		v.Reason = fmt.Sprintf("%d of %d requests were answered as they should be, the slowest after %s", asked, asked, slowest.Round(time.Millisecond))
		return v
	}
	v.Outcome = ship.Fail
	v.Reason = fmt.Sprintf("%s %s", wrong[0].Title, wrong[0].Text)
	if len(wrong) > 1 {
		v.Reason += fmt.Sprintf("; %d of %d requests failed", len(wrong), asked)
	}
	return v
}

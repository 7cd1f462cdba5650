// Package load is a gate that has many users at once ask the candidate, before
// real ones do, and judges how many of them it failed and how long they had to
// wait. It knows the limits; how a load is sent and measured is known by
// package load of the leaves.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Users     int           `json:"users,omitempty" jsonschema_description:"Users at once, each of whom waits for an answer before asking again. Default 100."`
	SpawnRate float64       `json:"spawn_rate,omitempty" jsonschema_description:"Users who begin in a second. Default 10."`
	Think     Think         `json:"think,omitempty" jsonschema_description:"For how long a user thinks between an answer and the next request, such as 1s or 1s-3s. Default not at all."`
	Rate      float64       `json:"rate,omitempty" jsonschema_description:"Requests in a second, whatever the answers do, instead of users."`
	For       gate.Duration `json:"for,omitempty" jsonschema_description:"How long requests are sent. Default 5m."`
	Paths     []Path        `json:"paths,omitempty" jsonschema_description:"What is asked for: paths, or mappings with a weight, a method, a body. Default /."`
	Timeout   gate.Duration `json:"timeout,omitempty" jsonschema_description:"Time of one request. Default 10s."`
	ErrorRate *gate.Percent `json:"error_rate,omitempty" jsonschema_description:"Share of the requests that may fail. Default 1%."`
	P50       gate.Duration `json:"p50,omitempty" jsonschema_description:"Time within which half of the answers come."`
	P95       gate.Duration `json:"p95,omitempty" jsonschema_description:"Time within which 95 of 100 answers come. Default 2s, unless p50 or p99 is set."`
	P99       gate.Duration `json:"p99,omitempty" jsonschema_description:"Time within which 99 of 100 answers come."`
}

// A Path is what is asked for, in proportion to its weight.
type Path struct {
	Path    string                `json:"path" jsonschema_description:"Path, with a query if there is one."`
	Weight  int                   `json:"weight,omitempty" jsonschema_description:"Default 1."`
	Method  string                `json:"method,omitempty" jsonschema_description:"Default GET, or POST with a body."`
	Body    ship.Value            `json:"body,omitempty" jsonschema_description:"Body; $ID in it becomes the number of the request."`
	Type    string                `json:"type,omitempty" jsonschema_description:"Content-Type of the body. Default application/json."`
	Headers map[string]ship.Value `json:"headers,omitempty" jsonschema_description:"Headers. They may refer to secrets."`
}

// UnmarshalJSON implements [json.Unmarshaler]: a text is a path.
func (p *Path) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &p.Path) == nil {
		return nil
	}
	type plain Path // without this method
	var long plain
	if err := plugin.Decode(raw, &long); err != nil {
		return err
	}
	*p = Path(long)
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Path) SettingSchema() string {
	const text = `{"type": "string"}`
	return `{"anyOf": [{"type": "string", "pattern": "^/"}, {"type": "object", "required": ["path"], "additionalProperties": false, "properties": {
		"path": {"type": "string", "pattern": "^/"}, "weight": {"type": "integer", "minimum": 1, "maximum": 1000}, "method": ` + text + `,
		"body": ` + text + `, "type": ` + text + `, "headers": {"type": "object", "additionalProperties": ` + text + `}}}]}`
}

// Think is a duration, or one from and to.
type Think load.Think

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Think) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	least, most, isRange := strings.Cut(text, "-")
	if !isRange {
		most = least
	}
	from, err := time.ParseDuration(least)
	to, err2 := time.ParseDuration(most)
	if err != nil || err2 != nil || from < 0 || to < from {
		return ship.Errorf(ship.Invalid, "write for example 1s or 1s-3s", "%q is no time to think", gate.Shorten(text, 40))
	}
	*t = Think{Min: from, Max: to}
	return nil
}

// SettingSchema is the JSON Schema of the setting.
func (Think) SettingSchema() string {
	const one = `([0-9]+(\\.[0-9]+)?(ms|s|m|h))+`
	return `{"type": "string", "pattern": "^` + one + `(-` + one + `)?$"}`
}

// What is not said.
const (
	defaultUsers     = 100
	defaultSpawnRate = 10
	defaultFor       = 5 * time.Minute
	defaultTimeout   = 10 * time.Second
	defaultErrorRate = 1 // percent
	defaultP95       = 2 * time.Second
)

// The most there can be.
const (
	maxUsers = 10_000
	maxRate  = 100_000
	maxPaths = 200
)

// A Gate judges by how the candidate bears a load.
type Gate struct {
	cfg       Config
	errorRate float64 // percent
	resolve   func(ship.Value) (ship.Secret, error)
}

var (
	_ gate.Visitor = (*Gate)(nil)
	_ gate.Loner   = (*Gate)(nil)
)

// New returns a load gate.
func New(cfg Config, d plugin.Deps) (*Gate, error) {
	g := &Gate{cfg: cfg, errorRate: defaultErrorRate, resolve: d.Resolve}
	for _, limit := range []struct {
		name string
		v    float64
		most float64
	}{{"users", float64(cfg.Users), maxUsers}, {"spawn_rate", cfg.SpawnRate, maxUsers}, {"rate", cfg.Rate, maxRate}, {"paths", float64(len(cfg.Paths)), maxPaths}} {
		if !(limit.v >= 0 && limit.v <= limit.most) {
			return nil, plugin.At(limit.name, ship.Errorf(ship.Invalid, "", "it must be more than 0 and at most %.0f", limit.most))
		}
	}
	if cfg.Rate > 0 && (cfg.Users > 0 || cfg.SpawnRate > 0 || cfg.Think != (Think{})) {
		return nil, plugin.At("rate", ship.Errorf(ship.Invalid, "leave rate out, or users, spawn_rate and think", "a load is of so many users, or of so many requests in a second"))
	}
	if cfg.ErrorRate != nil {
		g.errorRate = float64(*cfg.ErrorRate)
	}
	if cfg.P50 == 0 && cfg.P95 == 0 && cfg.P99 == 0 {
		g.cfg.P95 = gate.Duration(defaultP95)
	}
	if cfg.Users == 0 {
		g.cfg.Users = defaultUsers
	}
	if cfg.SpawnRate == 0 {
		g.cfg.SpawnRate = defaultSpawnRate
	}
	if _, err := load.New(g.options(nil)); err != nil {
		return nil, plugin.At("paths", err)
	}
	return g, nil
}

// Visits implements [gate.Visitor].
func (*Gate) Visits() {}

// JudgesAlone implements [gate.Loner].
func (*Gate) JudgesAlone() {}

// options describe the load, but for what is secret and where it goes.
func (g *Gate) options(requests []load.Request) load.Options {
	o := load.Options{
		URL: "http://candidate", Requests: requests, KeepAlive: true, Cut: true,
		For: g.cfg.For.Or(defaultFor), Timeout: g.cfg.Timeout.Or(defaultTimeout),
		Workers: g.cfg.Users, SpawnRate: g.cfg.SpawnRate, Think: load.Think(g.cfg.Think),
	}
	if g.cfg.Rate > 0 {
		// As many as can be under way when no answer comes in time.
		o.Rate, o.SpawnRate, o.Workers = g.cfg.Rate, 0, min(max(int(g.cfg.Rate*o.Timeout.Seconds()), 1), maxUsers)
	}
	if requests == nil {
		for _, p := range g.cfg.Paths {
			o.Requests = append(o.Requests, p.request())
		}
	}
	return o
}

func (p Path) request() load.Request {
	r := load.Request{Method: p.Method, Path: p.Path, Weight: p.Weight, Body: string(p.Body), Type: p.Type}
	if r.Method == "" && r.Body != "" {
		r.Method = "POST"
	}
	return r
}

// requests are the paths with their references resolved.
func (g *Gate) requests(host string) ([]load.Request, error) {
	paths := g.cfg.Paths
	if len(paths) == 0 {
		paths = []Path{{Path: "/"}}
	}
	var out []load.Request
	for _, p := range paths {
		r := p.request()
		// As the proxy that users come through says it, or an application
		// sends everybody to https first.
		r.Header = map[string]string{"X-Forwarded-Proto": "https"}
		if host != "" {
			r.Header["X-Forwarded-Host"] = host
		}
		var err error
		if r.Body, err = g.value(p.Body); err != nil {
			return nil, fmt.Errorf("body of %s: %w", p.Path, err)
		}
		for name, v := range maps.All(p.Headers) {
			if r.Header[name], err = g.value(v); err != nil {
				return nil, fmt.Errorf("header %s of %s: %w", name, p.Path, err)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// value resolves what may refer to a secret.
func (g *Gate) value(v ship.Value) (string, error) {
	if !strings.Contains(string(v), "${") {
		return string(v), nil
	}
	if g.resolve == nil {
		return "", ship.Errorf(ship.Internal, "", "nobody resolves references")
	}
	secret, err := g.resolve(v)
	return secret.Reveal(), err
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	if len(c.Targets) == 0 {
		return ship.Verdict{}, ship.Errorf(ship.Invalid, "list it in an environment whose release has a web process", "%s has nobody to ask: no web instance of the candidate runs", c.Name)
	}
	requests, err := g.requests(c.Host)
	if err != nil {
		return ship.Verdict{}, err
	}
	o := g.options(requests)
	o.URL, o.Also, o.Host = c.Targets[0], c.Targets[1:], c.Host
	if c.Timeout > 0 && c.Timeout < o.For {
		return ship.Verdict{}, ship.Errorf(ship.Invalid, "set timeout of the gate to more than "+o.For.String(), "the load lasts %s, and the gate may take only %s", o.For, c.Timeout)
	}
	l, err := load.New(o)
	if err != nil {
		return ship.Verdict{}, err
	}
	s, line := g.send(ctx, l, o.For, c)
	if err := ctx.Err(); err != nil {
		return ship.Verdict{}, err
	}
	return g.verdict(s, line), nil
}

package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/outside"
	"github.com/shiplock/shiplock/internal/ship"
)

// Limits of an answer.
const (
	maxAnswer = 8 << 20 // bytes
	maxHeader = 64 << 10
)

// client returns a client that follows no redirect: what the headers prove is
// for the server they were meant for.
func client(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: outside.Dialer(timeout).DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true,
		},
	}
}

// A sample is a value with its labels.
type sample struct {
	Labels map[string]string
	Value  float64
}

// of says which one it is: ` of {job="shop"}`.
func (s sample) of() string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		said = append(said, fmt.Sprintf("%s=%q", name, s.Labels[name]))
	}
	if len(said) == 0 {
		return ""
	}
	return " of " + gate.Line("{"+strings.Join(said, ", ")+"}", maxLabels)
}

// An answer is what the API says, as Prometheus documents it.
type answer struct {
	Status    string          `json:"status"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Data      json.RawMessage `json:"data"`
}

func (g *Gate) ask(ctx context.Context) ([]sample, []string, error) {
	// A form, because an expression may be longer than a server takes a URL.
	form := url.Values{"query": {g.cfg.Query}, "timeout": {g.client.Timeout.String()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "shiplock")
	for name, value := range g.cfg.Headers {
		if g.resolve == nil {
			return nil, nil, ship.Errorf(ship.Internal, "", "nobody resolves the header %s", name)
		}
		secret, err := g.resolve(value)
		if err != nil {
			return nil, nil, fmt.Errorf("header %s: %w", name, err)
		}
		req.Header.Set(name, secret.Reveal())
	}
	resp, err := g.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, ship.Errorf(ship.Unreachable, "", "ask Prometheus: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, ship.Errorf(ship.Unreachable, "", "read the answer of Prometheus: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, nil, ship.Errorf(ship.Failed, "ask for fewer values", "the answer of Prometheus has more than %d MiB", maxAnswer>>20)
	}
	return read(resp.StatusCode, body)
}

// read makes samples of an answer.
func read(status int, body []byte) ([]sample, []string, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.Status == "" {
		return nil, nil, ship.Errorf(ship.Failed, "see whether the URL is that of Prometheus", "the answer is not one of Prometheus: status %d, %d bytes", status, len(body))
	}
	if a.Status != "success" {
		return nil, nil, ship.Errorf(ship.Failed, "", "Prometheus refuses the query: %s", gate.Line(a.ErrorType+": "+a.Error, maxQuery))
	}
	var data struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return nil, nil, fmt.Errorf("answer of Prometheus: %w", err)
	}
	switch data.Type {
	case "scalar":
		var p point
		err := json.Unmarshal(data.Result, &p)
		return []sample{{Value: float64(p)}}, a.Warnings, err
	case "vector":
		var list []struct {
			Metric map[string]string `json:"metric"`
			Value  *point            `json:"value"`
		}
		if err := json.Unmarshal(data.Result, &list); err != nil {
			return nil, nil, fmt.Errorf("answer of Prometheus: %w", err)
		}
		var out []sample
		for _, s := range list {
			if s.Value == nil {
				return nil, nil, ship.Errorf(ship.Failed, "compare a quantile of it", "the query has a histogram for its value, which cannot be compared")
			}
			out = append(out, sample{s.Metric, float64(*s.Value)})
		}
		return out, a.Warnings, nil
	}
	return nil, nil, ship.Errorf(ship.Failed, "take a range away, or put a function around it",
		"the query has a result of type %q, and only numbers at one time can be compared", gate.Line(data.Type, 40))
}

// A point is [time, "value"].
type point float64

// UnmarshalJSON implements [json.Unmarshaler].
func (p *point) UnmarshalJSON(raw []byte) error {
	var pair [2]any
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	text, ok := pair[1].(string)
	if !ok {
		return errors.New("a value that is no text")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(v, 0) {
		return fmt.Errorf("a value that is no number: %w", err)
	}
	*p = point(v)
	return nil
}
